// What a job was given or gave back: JSON as it was written, text, or how much of something else.
import { useState } from "react";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { prettyJson, textOfBytes } from "./json";

/** Longer text makes the page slow and is read by nobody here. */
const SHOWN_MAX = 64 << 10;

export function Bytes({
  title,
  bytes,
  type,
}: {
  title: string;
  bytes: Uint8Array | undefined;
  type: string | undefined;
}) {
  const words = useWords();
  const format = useFormat();
  const [isCopied, setCopied] = useState(false);
  if (!bytes || bytes.length === 0) return null;
  const text = textOfBytes(bytes);
  const pretty = text === undefined ? undefined : (prettyJson(text) ?? text);
  return (
    <section className="card">
      <div className="head">
        <h2>{title}</h2>
        <span className="quiet">
          {format.bytes(bytes.length)} {type}
        </span>
        {text !== undefined && (
          <button
            type="button"
            className="small"
            onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
          >
            {isCopied ? words.actions.copied : words.actions.copy}
          </button>
        )}
      </div>
      {pretty === undefined ? (
        <p className="quiet">{words.job.notText(format.bytes(bytes.length))}</p>
      ) : (
        <pre tabIndex={0} aria-label={title}>
          {pretty.slice(0, SHOWN_MAX)}
        </pre>
      )}
      {pretty !== undefined && pretty.length > SHOWN_MAX && (
        <p className="quiet">{words.job.kept}</p>
      )}
    </section>
  );
}
