// The browser's own dialog: it holds the focus, Esc closes it, and what is behind is out of reach.
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useWords } from "../i18n/index";

export function Dialog({
  title,
  onClose,
  children,
  actions,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  actions?: ReactNode;
}) {
  const words = useWords();
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby={heading} onClose={onClose}>
      <h2 id={heading}>{title}</h2>
      <div className="dialog-body">{children}</div>
      <div className="dialog-actions">
        {actions}
        <button type="button" onClick={() => element.current?.close()}>
          {words.actions.close}
        </button>
      </div>
    </dialog>
  );
}

/** Asks once more before something that can not be taken back. */
export function Confirm({
  title,
  text,
  action,
  onConfirm,
  onClose,
}: {
  title: string;
  text: string;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <button
          type="button"
          className="danger"
          onClick={(event) => {
            onConfirm();
            // Closed rather than taken away, so that the focus goes back to where it was.
            event.currentTarget.closest("dialog")?.close();
          }}
        >
          {action}
        </button>
      }
    >
      <p>{text}</p>
    </Dialog>
  );
}
