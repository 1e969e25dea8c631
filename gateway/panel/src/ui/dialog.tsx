// A modal dialog, by the dialog element of the browser, which traps the focus and closes on Esc.
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useTexts } from "../i18n/index";

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
  const texts = useTexts();
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
          {texts.actions.close}
        </button>
      </div>
    </dialog>
  );
}

/** Asks for confirmation of an action. */
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
            // Closing the element, and not only unmounting it, restores the focus.
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
