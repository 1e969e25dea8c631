// What can be done to the rows that were chosen, and to all that match.
import { useEffect, useRef, useState } from "react";
import { useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { BULK_ACTIONS, BulkDialog, type BulkName } from "../../ui/bulk";
import { Confirm } from "../../ui/dialog";
import { useNotes } from "../../ui/feedback";
import { type FilterSearch, filterOf } from "../../ui/filter";
import { requestId } from "../../ui/request-id";
import { EXPORT_MAX, type ExportFormat, exportAll } from "./export";

/** Calls at a time for rows that were chosen one by one. */
const AT_A_TIME = 8;

export function Selected({
  search,
  selected,
  onDone,
}: {
  search: FilterSearch;
  selected: ReadonlySet<string>;
  onDone: () => void;
}) {
  const words = useWords();
  const format = useFormat();
  const { jobs } = useClients();
  const hub = useHub();
  const notes = useNotes();
  const [bulk, setBulk] = useState<BulkName>();
  const [asksDelete, setAsksDelete] = useState(false);
  const [done, setDone] = useState<number>();
  const [exported, setExported] = useState<number>();
  const stopChosen = useRef<AbortController>(undefined);
  const stopExport = useRef<AbortController>(undefined);
  useEffect(
    () => () => {
      stopChosen.current?.abort();
      stopExport.current?.abort();
    },
    [],
  );

  async function one(name: BulkName, id: string): Promise<void> {
    const own = requestId();
    if (name === "delete") await jobs.delete({ id, requestId: own });
    else {
      const { job } =
        name === "cancel"
          ? await jobs.cancel({ id, requestId: own })
          : await jobs.retry({ id, requestId: own });
      if (job) hub.put(job);
    }
  }

  async function each(name: BulkName) {
    const own = new AbortController();
    stopChosen.current = own;
    const left = [...selected];
    let [ended, failed, first]: [number, number, unknown] = [0, 0, undefined];
    setDone(ended);
    const work = async () => {
      for (let id = left.shift(); id !== undefined && !own.signal.aborted; id = left.shift()) {
        await one(name, id).catch((error: unknown) => {
          failed += 1;
          first ??= error;
        });
        ended += 1;
        setDone(ended);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    const good = ended - failed;
    if (good > 0)
      notes.good(`${words.actions[name]}: ${words.common.jobs(good, format.number(good))}`);
    if (first !== undefined)
      notes.bad(first, failed > 1 ? words.bulk.failed(format.number(failed)) : undefined);
    setDone(undefined);
    onDone();
  }

  async function save(as: ExportFormat) {
    const own = new AbortController();
    stopExport.current = own;
    setExported(0);
    try {
      const count = await exportAll(jobs, filterOf(search), as, {
        signal: own.signal,
        onCount: setExported,
      });
      const text = format.number(count);
      notes.good(
        count < EXPORT_MAX ? words.search.exported(text) : words.search.exportedFirst(text),
      );
    } catch (error) {
      if (!own.signal.aborted) notes.bad(error);
    } finally {
      setExported(undefined);
    }
  }

  return (
    <div className="bar-row">
      {selected.size > 0 && (
        <div
          className="buttons"
          role="group"
          aria-label={words.search.selected(format.number(selected.size))}
        >
          <span className="strong">{words.search.selected(format.number(selected.size))}</span>
          {BULK_ACTIONS.map((name) => (
            <button
              key={name}
              type="button"
              className={name === "delete" ? "small danger" : "small"}
              disabled={done !== undefined}
              onClick={() => (name === "delete" ? setAsksDelete(true) : void each(name))}
            >
              {words.actions[name]}
            </button>
          ))}
          {done !== undefined && (
            <span role="status">
              {words.common.of(format.number(done), format.number(selected.size))}{" "}
              <button type="button" className="link" onClick={() => stopChosen.current?.abort()}>
                {words.bulk.stop}
              </button>
            </span>
          )}
        </div>
      )}
      <div className="buttons" role="group" aria-label={words.search.matching}>
        <span className="quiet">{words.search.matching}</span>
        {BULK_ACTIONS.map((name) => (
          <button key={name} type="button" className="small" onClick={() => setBulk(name)}>
            {words.bulk.titles[name]}
          </button>
        ))}
        {exported === undefined ? (
          (["jsonl", "csv"] as const).map((as) => (
            <button key={as} type="button" className="small" onClick={() => void save(as)}>
              {words.actions.export} {words.search.formats[as]}
            </button>
          ))
        ) : (
          <span role="status">
            {words.search.exporting(format.number(exported))}{" "}
            <button type="button" className="link" onClick={() => stopExport.current?.abort()}>
              {words.bulk.stop}
            </button>
          </span>
        )}
      </div>
      {bulk && (
        <BulkDialog
          name={bulk}
          search={search}
          onClose={() => {
            setBulk(undefined);
            onDone();
          }}
        />
      )}
      {asksDelete && (
        <Confirm
          title={words.bulk.titles.delete}
          text={words.bulk.will.delete(
            words.common.jobs(selected.size, format.number(selected.size)),
          )}
          action={words.actions.delete}
          onConfirm={() => void each("delete")}
          onClose={() => setAsksDelete(false)}
        />
      )}
    </div>
  );
}
