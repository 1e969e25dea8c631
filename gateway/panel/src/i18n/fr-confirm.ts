// French texts of the questions before actions.
import type { enConfirm } from "./en-confirm";

export const frConfirm: typeof enConfirm = {
  confirm: {
    titles: {
      cancel: "Annuler ce job\u202f?",
      retry: "Relancer ce job\u202f?",
      runNow: "Lancer ce job maintenant\u202f?",
      delete: "Supprimer ce job\u202f?",
    },
    changed: (state) =>
      `Le job a changé entre-temps. Son état est maintenant\u202f: ${state}. Fermez cette fenêtre et vérifiez.`,
    cancel: {
      running:
        "Le job est en cours. Son handler reçoit une demande d’arrêt, et ce qu’il a déjà fait reste fait.",
      ready: "Le job est prêt et ne s’exécutera pas. Cette action est irréversible.",
      scheduled: "Le job est planifié et ne s’exécutera pas. Cette action est irréversible.",
      blocked:
        "Le job attend ses dépendances et ne s’exécutera pas. Cette action est irréversible.",
    },
    retry: {
      succeeded:
        "Ce job a déjà réussi. Une nouvelle exécution refait son travail et supprime son résultat.",
      cancelled:
        "Ce job a été annulé. Une nouvelle exécution démarre aussitôt, avec toutes ses tentatives.",
      expired:
        "Ce job n’a pas démarré avant son échéance. Une nouvelle exécution démarre aussitôt, sans tenir compte de l’échéance.",
    },
    delete: {
      ready: "Ce job ne s’est pas exécuté et ne s’exécutera jamais. Cette action est irréversible.",
      scheduled: "Ce job est planifié et ne s’exécutera jamais. Cette action est irréversible.",
      blocked:
        "Ce job attend ses dépendances et ne s’exécutera jamais. Les jobs qui en dépendent suivent leur politique en cas d’échec d’une dépendance. Cette action est irréversible.",
      failed:
        "Le job est supprimé avec son erreur, ses tentatives et son journal. Les jobs qui en dépendent suivent leur politique en cas d’échec d’une dépendance. Cette action est irréversible.",
      cancelled:
        "Le job est supprimé avec ses tentatives et son journal. Cette action est irréversible.",
      expired: "Le job est supprimé. Cette action est irréversible.",
      succeeded:
        "Le job est supprimé avec son résultat, ses tentatives et son journal. Cette action est irréversible.",
    },
    surprises: {
      retry: {
        succeeded: "déjà réussi\u202f; s’exécute une seconde fois",
        cancelled: "a été annulé",
        expired: "n’a pas démarré avant son échéance",
      },
      delete: {
        ready: "ne s’est pas encore exécuté",
        scheduled: "ne s’est pas encore exécuté",
        blocked: "ne s’est pas encore exécuté",
      },
    },
  },
};
