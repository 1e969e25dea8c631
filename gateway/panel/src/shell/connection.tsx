// Shows whether the data on the page is live.
import { Code } from "@connectrpc/connect";
import { useEffect, useRef } from "react";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useConnection, useHub } from "../live/hooks";
import { useNotifications } from "../ui/feedback";
import { useNow } from "../ui/time";

export function ConnectionIndicator() {
  const texts = useTexts();
  const connection = useConnection();
  const isSignedOut =
    connection.status === "lost" && connection.error.code === Code.Unauthenticated;
  const text = isSignedOut ? texts.connection.signedOut : texts.connection[connection.status];
  return (
    <span
      className="connection"
      data-status={isSignedOut ? "closed" : connection.status}
      title={text}
    >
      <span className="visually-hidden">{text}</span>
    </span>
  );
}

export function ConnectionLostBanner() {
  const texts = useTexts();
  const connection = useConnection();
  const hub = useHub();
  const notifications = useNotifications();
  const format = useFormat();
  const lostForMs = useNow() - (connection.status === "lost" ? connection.since : 0);
  const wasLost = useRef(false);
  useEffect(() => {
    const { status } = connection;
    if (status === "live" && wasLost.current) notifications.success(texts.connection.restored);
    wasLost.current = status === "lost" || (wasLost.current && status === "connecting");
  }, [connection, notifications, texts]);
  if (connection.status !== "lost") return <div role="status" className="visually-hidden" />;
  const { code, rawMessage } = connection.error;
  const isUnreachable = code === Code.Unavailable || code === Code.Unknown;
  return (
    <div className="connection-lost" role="status">
      <p>
        <span className="strong">{texts.connection.lost}</span>{" "}
        {lostForMs >= 1_000 && <span className="muted">{format.duration(lostForMs)}</span>}
        <br />
        {isUnreachable ? texts.connection.lostDetail : rawMessage}
      </p>
      <button type="button" onClick={() => hub.reconnect()}>
        {texts.connection.retry}
      </button>
    </div>
  );
}
