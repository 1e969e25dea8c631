// The buttons to pause, resume and drain a queue.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Queue, QueueMode } from "../../gen/sentinel/admin/v1/queue_service_pb";
import type { Texts } from "../../i18n/en";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Confirm } from "../../ui/dialog";
import { useNotifications } from "../../ui/feedback";

export function modeText(mode: QueueMode, texts: Texts): string {
  const { modes } = texts.queues;
  if (mode === QueueMode.PAUSED) return modes.paused;
  return mode === QueueMode.DRAINING ? modes.draining : modes.open;
}

export function QueueActions({
  queue: { name, mode },
  small = false,
}: {
  queue: Queue;
  small?: boolean;
}) {
  const texts = useTexts();
  const { queues } = useClients();
  const queryClient = useQueryClient();
  const notifications = useNotifications();
  const [confirmsDrain, setConfirmsDrain] = useState(false);
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

  return (
    <div className="buttons">
      {mode === QueueMode.OPEN ? (
        <>
          <button
            type="button"
            className={className}
            aria-label={`${actions.pause} ${name}`}
            onClick={() => void run(() => queues.pauseQueue({ name }))}
          >
            {actions.pause}
          </button>
          <button
            type="button"
            className={className}
            aria-label={`${actions.drain} ${name}`}
            onClick={() => setConfirmsDrain(true)}
          >
            {actions.drain}
          </button>
        </>
      ) : (
        <button
          type="button"
          className={className}
          aria-label={`${actions.resume} ${name}`}
          onClick={() => void run(() => queues.resumeQueue({ name }))}
        >
          {actions.resume}
        </button>
      )}
      {confirmsDrain && (
        <Confirm
          title={texts.queues.drainTitle(name)}
          text={texts.queues.drainText}
          action={actions.drain}
          onConfirm={() => void run(() => queues.drainQueue({ name }))}
          onClose={() => setConfirmsDrain(false)}
        />
      )}
    </div>
  );
}
