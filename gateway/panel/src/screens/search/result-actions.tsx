// Actions on the selected rows, and on all matching jobs.
import { useEffect, useRef, useState } from "react";
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { BULK_ACTIONS, BulkDialog } from "../../ui/bulk";
import { useNotifications } from "../../ui/feedback";
import { type FilterSearch, toJobFilter } from "../../ui/filter";
import { newRequestId } from "../../ui/request-id";
import type { BulkName } from "../../ui/state-choice";
import type { StateName } from "../../ui/states";
import { EXPORT_MAX, type ExportFormat, exportAll } from "./export";
import { SelectionDialog } from "./selection-dialog";

/** The number of concurrent calls for selected rows. */
const CONCURRENCY = 8;

export function ResultActions({
  search,
  selected,
  onDone,
}: {
  search: FilterSearch;
  /** The selected jobs, with the states that the list knows. */
  selected: ReadonlyMap<string, StateName>;
  onDone: () => void;
}) {
  const texts = useTexts();
  const format = useFormat();
  const { jobs } = useClients();
  const hub = useHub();
  const notifications = useNotifications();
  const [bulkAction, setBulkAction] = useState<BulkName>();
  const [selectedAction, setSelectedAction] = useState<BulkName>();
  const [runningCount, setRunningCount] = useState(0);
  const [finishedCount, setFinishedCount] = useState<number>();
  const [exportedCount, setExportedCount] = useState<number>();
  const abortSelected = useRef<AbortController>(undefined);
  const abortExport = useRef<AbortController>(undefined);
  useEffect(
    () => () => {
      abortSelected.current?.abort();
      abortExport.current?.abort();
    },
    [],
  );

  async function runOne(name: BulkName, id: string): Promise<void> {
    const requestId = newRequestId();
    if (name === "delete") await jobs.delete({ id, requestId });
    else {
      const { job } =
        name === "cancel"
          ? await jobs.cancel({ id, requestId })
          : await jobs.retry({ id, requestId });
      if (job) hub.put(job);
    }
  }

  async function runOnSelected(name: BulkName, ids: readonly string[]) {
    const controller = new AbortController();
    const { signal } = controller;
    abortSelected.current = controller;
    const pending = [...ids];
    let [finished, failed, firstError]: [number, number, unknown] = [0, 0, undefined];
    setRunningCount(ids.length);
    setFinishedCount(finished);
    const runPending = async () => {
      for (let id = pending.shift(); id !== undefined && !signal.aborted; id = pending.shift()) {
        await runOne(name, id).catch((error: unknown) => {
          failed += 1;
          firstError ??= error;
        });
        finished += 1;
        setFinishedCount(finished);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, runPending));
    const succeeded = finished - failed;
    if (succeeded > 0)
      notifications.success(
        `${texts.actions[name]}: ${texts.common.jobCount(succeeded, format.number(succeeded))}`,
      );
    if (firstError !== undefined)
      notifications.error(
        firstError,
        failed > 1 ? texts.bulk.failed(format.number(failed)) : undefined,
      );
    setFinishedCount(undefined);
    onDone();
  }

  async function exportMatching(as: ExportFormat) {
    const controller = new AbortController();
    abortExport.current = controller;
    setExportedCount(0);
    try {
      const count = await exportAll(jobs, toJobFilter(search), as, {
        signal: controller.signal,
        onCount: setExportedCount,
      });
      const text = format.number(count);
      notifications.success(
        count < EXPORT_MAX ? texts.search.exported(text) : texts.search.exportLimit(text),
      );
    } catch (error) {
      if (!controller.signal.aborted) notifications.error(error);
    } finally {
      setExportedCount(undefined);
    }
  }

  return (
    <div className="bar-row">
      {selected.size > 0 && (
        <div
          className="buttons"
          role="group"
          aria-label={texts.search.selected(format.number(selected.size))}
        >
          <span className="strong">{texts.search.selected(format.number(selected.size))}</span>
          {BULK_ACTIONS.map((name) => (
            <button
              key={name}
              type="button"
              className={name === "delete" ? "small danger" : "small"}
              disabled={finishedCount !== undefined}
              onClick={() => setSelectedAction(name)}
            >
              {texts.actions[name]}
            </button>
          ))}
          {finishedCount !== undefined && (
            <span role="status">
              {texts.common.of(format.number(finishedCount), format.number(runningCount))}{" "}
              <button type="button" className="link" onClick={() => abortSelected.current?.abort()}>
                {texts.bulk.stop}
              </button>
            </span>
          )}
        </div>
      )}
      <div className="buttons" role="group" aria-label={texts.search.matching}>
        <span className="muted">{texts.search.matching}</span>
        {BULK_ACTIONS.map((name) => (
          <button key={name} type="button" className="small" onClick={() => setBulkAction(name)}>
            {texts.bulk.titles[name]}
          </button>
        ))}
        {exportedCount === undefined ? (
          (["jsonl", "csv"] as const).map((as) => (
            <button
              key={as}
              type="button"
              className="small"
              onClick={() => void exportMatching(as)}
            >
              {texts.actions.export} {texts.search.formats[as]}
            </button>
          ))
        ) : (
          <span role="status">
            {texts.search.exporting(format.number(exportedCount))}{" "}
            <button type="button" className="link" onClick={() => abortExport.current?.abort()}>
              {texts.bulk.stop}
            </button>
          </span>
        )}
      </div>
      {bulkAction && (
        <BulkDialog
          name={bulkAction}
          search={search}
          onClose={() => {
            setBulkAction(undefined);
            onDone();
          }}
        />
      )}
      {selectedAction && (
        <SelectionDialog
          name={selectedAction}
          selected={selected}
          onConfirm={(ids) => void runOnSelected(selectedAction, ids)}
          onClose={() => setSelectedAction(undefined)}
        />
      )}
    </div>
  );
}
