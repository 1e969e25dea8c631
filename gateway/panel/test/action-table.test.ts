// Tests of what the panel asks before an action: the whole table of actions and states.
import assert from "node:assert/strict";
import { test } from "node:test";
import { en } from "../src/i18n/en";
import { fr } from "../src/i18n/fr";
import {
  type ActionName,
  bulkStates,
  defaultStates,
  question,
  ruleOf,
} from "../src/ui/action-table";
import { STATES, stateName } from "../src/ui/states";

const ACTIONS: readonly ActionName[] = ["cancel", "retry", "runNow", "delete"];

/** In the order of STATES: n is never, d direct, a ask, s surprise. */
const EXPECTED: Record<ActionName, string> = {
  // running ready scheduled blocked failed cancelled expired succeeded
  cancel: "aaaannnn",
  retry: "nnnndsss",
  runNow: "nndnnnnn",
  delete: "nsssaaaa",
};

test("every action has a rule for every state", () => {
  for (const action of ACTIONS) {
    const rules = STATES.map((state) => ruleOf(action, stateName(state))[0]).join("");
    assert.equal(rules, EXPECTED[action], action);
  }
});

test("every rule that asks has a question of its own, in every language, and no other has one", () => {
  for (const texts of [en, fr]) {
    for (const action of ACTIONS) {
      for (const state of STATES.map(stateName)) {
        const asks = ["ask", "surprise"].includes(ruleOf(action, state));
        assert.equal(question(action, state, texts) !== undefined, asks, `${action} ${state}`);
      }
    }
  }
});

test("a question about a state that surprises says what is special about it", () => {
  const words = {
    succeeded: /already succeeded/,
    cancelled: /was cancelled/,
    expired: /deadline/,
    ready: /not run yet/,
    scheduled: /is scheduled/,
    blocked: /dependencies/,
    failed: /error/,
    running: /is running/,
  };
  for (const action of ACTIONS) {
    for (const state of STATES.map(stateName)) {
      if (ruleOf(action, state) !== "surprise") continue;
      assert.match(question(action, state, en) ?? "", words[state], `${action} ${state}`);
    }
  }
});

test("a bulk action leaves out the states that surprise unless the user includes them", () => {
  assert.deepEqual(defaultStates("retry", []), ["failed"]);
  assert.deepEqual(defaultStates("cancel", []), ["running", "ready", "scheduled", "blocked"]);
  assert.deepEqual(defaultStates("delete", []), ["failed", "cancelled", "expired", "succeeded"]);
  for (const action of ["cancel", "retry", "delete"] as const) {
    for (const state of STATES.map(stateName)) {
      const offered = bulkStates(action, [state]);
      assert.deepEqual(offered, ruleOf(action, state) === "never" ? [] : [state]);
      const isDefault = ["direct", "ask"].includes(ruleOf(action, state));
      assert.deepEqual(defaultStates(action, [state]), isDefault ? [state] : []);
    }
  }
});
