// Lists and buttons stand still while the user aims at them: while the pointer or the keyboard
// focus is inside, new rows, another order and other buttons wait.
import { type FocusEvent, type PointerEvent, useRef, useState, useSyncExternalStore } from "react";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";

export interface Hold {
  /** Whether rows wait. */
  isHeld: boolean;
  /** Whether the pointer or the focus is inside, so that buttons keep their meanings. */
  isAimedAt: boolean;
  /** For the element around what is held. */
  props: {
    onPointerEnter: (event: PointerEvent) => void;
    onPointerLeave: () => void;
    onFocus: (event: FocusEvent) => void;
    onBlur: (event: FocusEvent) => void;
  };
}

/** A touch screen does not show where a finger will be, so there a list always waits. */
const noHover = () => window.matchMedia("(hover: none)");

function onHoverChange(listener: () => void): () => void {
  const query = noHover();
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}

export function useHold({ onTouch = false } = {}): Hold {
  const [hasPointer, setPointer] = useState(false);
  const [hasFocus, setFocus] = useState(false);
  const isTouch = useSyncExternalStore(onHoverChange, () => noHover().matches);
  const isAimedAt = hasPointer || hasFocus;
  return {
    isAimedAt,
    isHeld: isAimedAt || (onTouch && isTouch),
    props: {
      onPointerEnter: ({ pointerType }) => setPointer(pointerType !== "touch"),
      onPointerLeave: () => setPointer(false),
      // The focus stays on a button after a click with the mouse, when nobody aims at it any more.
      onFocus: ({ target }) => setFocus(target.matches(":focus-visible")),
      onBlur: ({ currentTarget, relatedTarget }) => {
        const isInside = relatedTarget instanceof Node && currentTarget.contains(relatedTarget);
        if (!isInside) setFocus(false);
      },
    },
  };
}

/** Returns the latest value, or the one before while it is held. Values are compared by identity.
 * A value of another `scope`, such as another filter, is taken at once. */
export function useHeld<T>(
  value: T,
  isHeld: boolean,
  scope = "",
): { shown: T; isWaiting: boolean; apply: () => void } {
  const [held, setHeld] = useState({ value, scope });
  const isTaken = !isHeld || held.scope !== scope;
  // React renders again at once, before it shows anything.
  if (isTaken && (held.value !== value || held.scope !== scope)) setHeld({ value, scope });
  const shown = isTaken ? value : held.value;
  return { shown, isWaiting: shown !== value, apply: () => setHeld({ value, scope }) };
}

export interface HeldRows<Row> {
  rows: readonly Row[];
  shown: readonly string[];
  latest: readonly string[];
  apply: () => void;
}

/** Holds which rows there are and their order. The values of the rows stay up to date, and a row
 * that is gone keeps its last values. */
export function useHeldRows<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  isHeld: boolean,
  scope: string,
): HeldRows<Row> {
  const latestText = JSON.stringify(rows.map(keyOf));
  const held = useHeld(latestText, isHeld, scope);
  const shown: string[] = JSON.parse(held.shown);
  const known = useRef(new Map<string, Row>());
  for (const row of rows) known.current.set(keyOf(row), row);
  for (const key of known.current.keys()) if (!shown.includes(key)) known.current.delete(key);
  const found = new Map([...known.current, ...rows.map((row) => [keyOf(row), row] as const)]);
  return {
    rows: shown.flatMap((key) => found.get(key) ?? []),
    shown,
    latest: JSON.parse(latestText),
    apply: held.apply,
  };
}

/** Shows that rows wait, without taking space, and applies them when pressed. */
export function WaitingRows<Row>({
  shown,
  latest,
  apply,
}: {
  shown: readonly Row[];
  latest: readonly Row[];
  apply: () => void;
}) {
  const texts = useTexts();
  const format = useFormat();
  const known = new Set(shown);
  const count = latest.filter((row) => !known.has(row)).length;
  const isSame =
    latest.length === shown.length && latest.every((row, index) => row === shown[index]);
  return (
    <div className="waiting-rows">
      {!isSame && (
        <button type="button" className="small primary" onClick={apply}>
          {count > 0 ? texts.common.newRows(format.number(count)) : texts.common.updateList}
        </button>
      )}
    </div>
  );
}
