// Whether what is on the screen is live, always in view, and loud when it is not.
import { Code } from "@connectrpc/connect";
import { useEffect, useRef } from "react";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useHub, useLine } from "../live/hooks";
import { useNotes } from "../ui/feedback";
import { useNow } from "../ui/time";

export function LineMark() {
  const words = useWords();
  const line = useLine();
  const isSignedOut = line.is === "lost" && line.error.code === Code.Unauthenticated;
  const text = isSignedOut ? words.line.signedOut : words.line[line.is];
  return (
    <span className="line" data-line={isSignedOut ? "closed" : line.is} title={text}>
      <span className="visually-hidden">{text}</span>
    </span>
  );
}

export function LostBanner() {
  const words = useWords();
  const line = useLine();
  const hub = useHub();
  const notes = useNotes();
  const format = useFormat();
  const away = useNow() - (line.is === "lost" ? line.since : 0);
  const wasLost = useRef(false);
  useEffect(() => {
    if (line.is === "live" && wasLost.current) notes.good(words.line.back);
    wasLost.current = line.is === "lost" || (wasLost.current && line.is === "connecting");
  }, [line, notes, words]);
  if (line.is !== "lost") return <div role="status" className="visually-hidden" />;
  const isAway = line.error.code === Code.Unavailable || line.error.code === Code.Unknown;
  return (
    <div className="lost" role="status">
      <p>
        <span className="strong">{words.line.lost}</span>{" "}
        {away >= 1_000 && <span className="quiet">{format.span(away)}</span>}
        <br />
        {isAway ? words.line.lostLong : line.error.rawMessage}
      </p>
      <button type="button" onClick={() => hub.wake()}>
        {words.line.retry}
      </button>
    </div>
  );
}
