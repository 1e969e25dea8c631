// French texts of the search screen and of bulk actions.
import type { enSearch } from "./en-search";

export const frSearch: typeof enSearch = {
  search: {
    title: "Recherche",
    states: "États",
    queues: "Files",
    kinds: "Types",
    labels: "Étiquettes",
    listHint: "séparer plusieurs valeurs par des virgules",
    after: "Mis en file à partir de",
    before: "Mis en file avant",
    find: "Rechercher",
    empty: "Aucun job ne correspond.",
    shown: (count) => `${count} affichés`,
    shownOfMore: (count) => `${count} affichés, il y en a d’autres`,
    limit: (count) =>
      `Les ${count} premiers jobs sont affichés. Affinez la recherche, ou exportez les jobs.`,
    select: (name) => `Sélectionner ${name}`,
    selectAll: "Sélectionner tous les jobs chargés",
    selected: (count) => `${count} sélectionnés`,
    matching: "Tous les jobs correspondants",
    errors: {
      state: "n’est pas un état",
      label:
        'doit être clé=valeur, chaque clé une seule fois\u202f; virgules entre guillemets\u202f: clé="a, b"',
      queue: "a un guillemet non fermé",
      kind: "a un guillemet non fermé",
      after: "n’est pas une date",
      before: "n’est pas une date",
    },
    formats: { jsonl: "JSON Lines", csv: "CSV" },
    exported: (count) => `${count} jobs exportés`,
    exportLimit: (count) =>
      `Les ${count} premiers jobs ont été exportés, c’est la limite. Affinez la recherche pour exporter le reste.`,
    exporting: (count) => `Export en cours\u202f: ${count} jobs`,
  },
  bulk: {
    titles: {
      cancel: "Annuler les jobs",
      retry: "Relancer les jobs",
      delete: "Supprimer les jobs",
    },
    counting: "Comptage…",
    confirm: {
      cancel: (count) => `Annuler ${count}. Les jobs terminés restent inchangés.`,
      retry: (count) => `Relancer ${count}. Les jobs non terminés restent inchangés.`,
      delete: (count) =>
        `Supprimer ${count}. Les jobs en cours ne sont pas supprimés. Cette action est irréversible.`,
    },
    byState: "Jobs par état",
    noneChosen: "Choisissez les états des jobs à modifier.",
    selection: (count) => `Sélection\u202f: ${count}`,
    nothing: "Cette action ne s’applique à aucun des jobs correspondants.",
    needsFilter:
      "Choisissez d’abord une file, un type, un état ou une étiquette. Les actions groupées sur tous les jobs du serveur ne sont pas autorisées.",
    invalidFilter:
      "Corrigez d’abord le filtre\u202f: tel quel, il correspond à plus de jobs que voulu.",
    start: {
      cancel: "Annuler les jobs",
      retry: "Relancer les jobs",
      delete: "Supprimer les jobs",
    },
    stop: "Arrêter",
    resume: "Reprendre",
    processed: (done) => `${done} traités`,
    stopped: "Arrêté. Les modifications déjà faites sont conservées.",
    done: "Terminé.",
    outcomes: {
      1: "annulés",
      2: "en cours d’annulation",
      3: "relancés",
      4: "supprimés",
      5: "ignorés, modifiés par une autre requête",
      6: "refusés",
    },
    failed: (count) => `${count} en échec`,
  },
};
