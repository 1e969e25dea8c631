// The buttons to pause, resume and drain a queue.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Queue, QueueMode } from "../../gen/sentinel/admin/v1/queue_service_pb";
import type { Texts } from "../../i18n/en";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Confirm } from "../../ui/dialog";
import { useNotifications } from "../../ui/feedback";
import { useHeld, useHold } from "../../ui/hold";

export function modeText(mode: QueueMode, texts: Texts): string {
  const { modes } = texts.queues;
  if (mode === QueueMode.PAUSED) return modes.paused;
  return mode === QueueMode.DRAINING ? modes.draining : modes.open;
}

export function QueueActions({
  queue: { name, mode },
  small = false,
  isHeld = false,
}: {
  queue: Queue;
  small?: boolean;
  isHeld?: boolean;
}) {
  const texts = useTexts();
  const { queues } = useClients();
  const queryClient = useQueryClient();
  const notifications = useNotifications();
  const [confirmsDrain, setConfirmsDrain] = useState(false);
  const hold = useHold();
  const className = small ? "small" : "";
  const { actions } = texts;

  async function run(call: () => Promise<{ queue?: Queue | undefined }>) {
    try {
      const { queue } = await call();
      if (queue) notifications.success(texts.queues.modeChanged(name, modeText(queue.mode, texts)));
      await Promise.all(
        ["queues", "queue"].map((key) => queryClient.invalidateQueries({ queryKey: [key] })),
      );
    } catch (error) {
      notifications.error(error);
    }
  }

  // While the row is held, a button does not change into another one.
  const { shown: showsOpen } = useHeld(mode === QueueMode.OPEN, isHeld || hold.isAimedAt);
  const isStale = showsOpen !== (mode === QueueMode.OPEN);
  const button = (action: "pause" | "drain" | "resume", onClick: () => void) => (
    <button
      type="button"
      className={className}
      aria-label={`${actions[action]} ${name}`}
      aria-disabled={isStale}
      onClick={() => !isStale && onClick()}
    >
      {actions[action]}
    </button>
  );
  return (
    <>
      <div className={small ? "buttons end" : "buttons"} {...hold.props}>
        {showsOpen ? (
          <>
            {button("pause", () => void run(() => queues.pauseQueue({ name })))}
            {button("drain", () => setConfirmsDrain(true))}
          </>
        ) : (
          button("resume", () => void run(() => queues.resumeQueue({ name })))
        )}
      </div>
      {confirmsDrain && (
        <Confirm
          title={texts.queues.drainTitle(name)}
          text={texts.queues.drainText}
          action={actions.drain}
          onConfirm={() => void run(() => queues.drainQueue({ name }))}
          onClose={() => setConfirmsDrain(false)}
        />
      )}
    </>
  );
}
