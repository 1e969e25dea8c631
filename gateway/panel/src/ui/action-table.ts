// What the panel does when an action meets a job in a state: one table for single jobs, selected
// jobs and all jobs of a filter.
import type { Texts } from "../i18n/en";
import { parseState, STATES, type StateName, stateName } from "./states";

/** - `never`: the action is not possible, and not offered.
 * - `direct`: it runs without a question, because it does what the state suggests and loses
 *   nothing.
 * - `ask`: it asks first, because it cannot be undone.
 * - `surprise`: it asks first and says what is special about the state. A bulk action leaves such
 *   jobs out unless the user includes them. */
export type Rule = "never" | "direct" | "ask" | "surprise";

export type ActionName = "cancel" | "retry" | "runNow" | "delete";

const NEVER = {
  running: "never",
  ready: "never",
  scheduled: "never",
  blocked: "never",
  failed: "never",
  cancelled: "never",
  expired: "never",
  succeeded: "never",
} as const satisfies Record<StateName, Rule>;

export const RULES = {
  cancel: { ...NEVER, running: "ask", ready: "ask", scheduled: "ask", blocked: "ask" },
  retry: {
    ...NEVER,
    failed: "direct",
    cancelled: "surprise",
    expired: "surprise",
    succeeded: "surprise",
  },
  runNow: { ...NEVER, scheduled: "direct" },
  delete: {
    running: "never",
    ready: "surprise",
    scheduled: "surprise",
    blocked: "surprise",
    failed: "ask",
    cancelled: "ask",
    expired: "ask",
    succeeded: "ask",
  },
} as const satisfies Record<ActionName, Record<StateName, Rule>>;

type Asked<States> = {
  [State in keyof States]: States[State] extends "ask" | "surprise" ? State : never;
}[keyof States];

/** A text for every action and state that asks. */
export type ConfirmTexts = {
  [Action in Exclude<ActionName, "runNow">]: Record<Asked<(typeof RULES)[Action]>, string>;
};

export const ruleOf = (action: ActionName, state: StateName): Rule => RULES[action][state];

/** Returns what to say before the action runs, or undefined when it runs without a question. */
export function question(action: ActionName, state: StateName, texts: Texts): string | undefined {
  const rule = ruleOf(action, state);
  if (action === "runNow" || (rule !== "ask" && rule !== "surprise")) return undefined;
  const byState: Partial<Record<StateName, string>> = texts.confirm[action];
  return byState[state];
}

/** Returns the states in which the action is possible. */
export const possibleStates = (action: ActionName): StateName[] =>
  STATES.map(stateName).filter((state) => ruleOf(action, state) !== "never");

/** Returns the states whose jobs a bulk action can change: the possible ones that the filter
 * includes. An empty list of names includes all states. */
export function bulkStates(action: ActionName, named: readonly string[]): StateName[] {
  const known = new Set(named.flatMap((name) => parseState(name) ?? []).map(stateName));
  return possibleStates(action).filter((state) => known.size === 0 || known.has(state));
}

/** Returns those of them that it changes unless the user chooses others. */
export const defaultStates = (action: ActionName, named: readonly string[]): StateName[] =>
  bulkStates(action, named).filter((state) => ruleOf(action, state) !== "surprise");
