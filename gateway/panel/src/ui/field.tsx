// A field with its name, its hint and what is wrong with it.
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";

interface InputProps {
  id?: string;
  "aria-describedby"?: string | undefined;
  "aria-invalid"?: boolean;
}

export function Field({
  name,
  hint,
  problem,
  children,
}: {
  name: ReactNode;
  hint?: string | undefined;
  problem?: string | undefined;
  children: ReactElement<InputProps>;
}) {
  const id = useId();
  const note = problem ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{name}</label>
      {cloneElement(children, {
        id,
        "aria-invalid": problem !== undefined,
        "aria-describedby": note === undefined ? undefined : `${id}n`,
      })}
      {note !== undefined && (
        <span id={`${id}n`} className={problem === undefined ? "quiet hint" : "field-error"}>
          {note}
        </span>
      )}
    </div>
  );
}
