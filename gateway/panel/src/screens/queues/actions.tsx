// Pause, resume and drain.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Queue, QueueMode } from "../../gen/sentinel/admin/v1/queue_service_pb";
import type { Words } from "../../i18n/en";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Confirm } from "../../ui/dialog";
import { useNotes } from "../../ui/feedback";

export function modeWord(mode: QueueMode, words: Words): string {
  const { modes } = words.queues;
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
  const words = useWords();
  const { queues } = useClients();
  const cache = useQueryClient();
  const notes = useNotes();
  const [asksDrain, setAsksDrain] = useState(false);
  const className = small ? "small" : "";
  const { actions } = words;

  async function act(call: () => Promise<{ queue?: Queue | undefined }>) {
    try {
      const { queue } = await call();
      if (queue) notes.good(words.queues.now(name, modeWord(queue.mode, words)));
      await Promise.all(
        ["queues", "queue"].map((key) => cache.invalidateQueries({ queryKey: [key] })),
      );
    } catch (error) {
      notes.bad(error);
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
            onClick={() => void act(() => queues.pauseQueue({ name }))}
          >
            {actions.pause}
          </button>
          <button
            type="button"
            className={className}
            aria-label={`${actions.drain} ${name}`}
            onClick={() => setAsksDrain(true)}
          >
            {actions.drain}
          </button>
        </>
      ) : (
        <button
          type="button"
          className={className}
          aria-label={`${actions.resume} ${name}`}
          onClick={() => void act(() => queues.resumeQueue({ name }))}
        >
          {actions.resume}
        </button>
      )}
      {asksDrain && (
        <Confirm
          title={words.queues.drainTitle(name)}
          text={words.queues.drainText}
          action={actions.drain}
          onConfirm={() => void act(() => queues.drainQueue({ name }))}
          onClose={() => setAsksDrain(false)}
        />
      )}
    </div>
  );
}
