"""What every connection shares: addresses, sizes, headers, times."""

import math
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from .errors import InvalidArgumentError

# The largest batch (4 MiB) and the largest payload that a server may allow (16 MiB) with room for
# their envelopes.
MAX_MESSAGE_BYTES = 20 * 1024 * 1024

CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A half-open connection is found out in 8 s.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Calls are repeated here, where it is known which ones may be.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


def parse_endpoint(text: str) -> str:
    """Accepts `http://host:port` and `host:port`; answers `host:port`."""
    trimmed = text.strip()
    scheme, found, _ = trimmed.partition("://")
    if found and scheme == "https":
        raise InvalidArgumentError(f"invalid endpoint {text!r}: TLS is not built in; end it in front of the server, use http://")
    if found and scheme != "http":
        raise InvalidArgumentError(f"invalid endpoint {text!r}: scheme {scheme} is not known; expected http://")
    parts = urlsplit(trimmed if found else f"http://{trimmed}")
    if not parts.hostname:
        raise InvalidArgumentError(f"invalid endpoint {text!r}: it names no host; expected http://host:port")
    return parts.netloc if parts.port is not None else f"{parts.netloc}:80"


def metadata(credential: str | None) -> list[tuple[str, str]]:
    return [] if credential is None else [("authorization", f"Bearer {credential}")]


def wire_duration(seconds: float | timedelta) -> Duration:
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    whole = math.floor(total)
    return Duration(seconds=whole, nanos=round((total - whole) * 1e9))


def seconds_of(duration: Duration) -> float:
    """A negative duration reads as zero."""
    return max(0.0, duration.seconds + duration.nanos / 1e9)


def wire_timestamp(moment: datetime | float) -> Timestamp:
    total = moment.timestamp() if isinstance(moment, datetime) else moment
    whole = math.floor(total)
    return Timestamp(seconds=whole, nanos=min(round((total - whole) * 1e9), 999_999_999))


def split_text(text: str, max_bytes: int) -> tuple[str, str]:
    """The longest head of at most so many bytes, cut at a character, and the rest."""
    if len(text) * 4 <= max_bytes:
        return text, ""
    data = text.encode(errors="replace")
    if len(data) <= max_bytes:
        return text, ""
    head = data[:max_bytes].decode(errors="ignore")
    return head, text[len(head) :]
