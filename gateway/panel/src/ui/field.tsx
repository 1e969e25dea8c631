// A form field: an input with its label, and its hint or error.
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";

interface InputProps {
  id?: string;
  "aria-describedby"?: string | undefined;
  "aria-invalid"?: boolean;
}

export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: ReactNode;
  hint?: string | undefined;
  error?: string | undefined;
  children: ReactElement<InputProps>;
}) {
  const id = useId();
  const description = error ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {cloneElement(children, {
        id,
        "aria-invalid": error !== undefined,
        "aria-describedby": description === undefined ? undefined : `${id}d`,
      })}
      {description !== undefined && (
        <span id={`${id}d`} className={error === undefined ? "muted hint" : "field-error"}>
          {description}
        </span>
      )}
    </div>
  );
}
