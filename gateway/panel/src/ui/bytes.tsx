// Shows bytes such as a payload: as formatted JSON, as text, or as their size.
import { useState } from "react";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { decodeUtf8, formatJson } from "./json";
import { visible, visibleLines } from "./visible";

/** Longer text makes the page slow. */
const CHARS_MAX = 64 << 10;

export function Bytes({
  title,
  bytes,
  type,
}: {
  title: string;
  bytes: Uint8Array | undefined;
  type: string | undefined;
}) {
  const texts = useTexts();
  const format = useFormat();
  const [isCopied, setCopied] = useState(false);
  if (!bytes || bytes.length === 0) return null;
  const text = decodeUtf8(bytes);
  const shown = text === undefined ? undefined : (formatJson(text) ?? text);
  return (
    <section className="card">
      <div className="head">
        <h2>{title}</h2>
        <span className="muted">
          {format.bytes(bytes.length)} {visible(type ?? "")}
        </span>
        {text !== undefined && (
          <button
            type="button"
            className="small"
            onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
          >
            {isCopied ? texts.actions.copied : texts.actions.copy}
          </button>
        )}
      </div>
      {shown === undefined ? (
        <p className="muted">{texts.job.binary(format.bytes(bytes.length))}</p>
      ) : (
        <pre tabIndex={0} role="region" aria-label={title}>
          {visibleLines(shown.slice(0, CHARS_MAX))}
        </pre>
      )}
      {shown !== undefined && shown.length > CHARS_MAX && (
        <p className="muted">{texts.job.truncated}</p>
      )}
    </section>
  );
}
