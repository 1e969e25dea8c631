"""What every connection shares: addresses, sizes, headers, times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
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


@dataclass(frozen=True)
class Tls:
    """Whom to trust over `https://`, and who this program is. Each in PEM."""

    ca: str | None = None
    """Who signed the certificate of the server. Default: those that come with grpcio."""
    cert: str | None = None
    """A certificate for a server that lets in only who has one. Needs `key`."""
    key: str | None = None


class Endpoint(NamedTuple):
    address: str
    """`host:port`"""
    is_secure: bool


def parse_endpoints(texts: Sequence[str], tls: Tls | None) -> list[Endpoint]:
    """The servers, when they fit what is said of TLS."""
    if tls is not None and (tls.cert is None) != (tls.key is None):
        raise InvalidArgumentError("tls: cert and key belong together")
    endpoints = [parse_endpoint(text) for text in texts]
    for text, endpoint in zip(texts, endpoints, strict=True):
        if tls is not None and not endpoint.is_secure:
            raise InvalidArgumentError(f"tls is said, but {text!r} is in the clear; expected https://")
    return endpoints


def channel_credentials(tls: Tls | None) -> grpc.ChannelCredentials:
    def pem(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    tls = tls or Tls()
    return grpc.ssl_channel_credentials(pem(tls.ca), pem(tls.key), pem(tls.cert))


def parse_endpoint(text: str) -> Endpoint:
    """Accepts `http://host:port`, `https://host:port` and `host:port`, which is in the clear."""
    trimmed = text.strip()
    scheme, found, _ = trimmed.partition("://")
    if found and scheme not in ("http", "https"):
        raise InvalidArgumentError(f"invalid endpoint {text!r}: scheme {scheme} is not known; expected http:// or https://")
    parts = urlsplit(trimmed if found else f"http://{trimmed}")
    if not parts.hostname:
        raise InvalidArgumentError(f"invalid endpoint {text!r}: it names no host; expected http://host:port")
    is_secure = parts.scheme == "https"
    address = parts.netloc if parts.port is not None else f"{parts.netloc}:{443 if is_secure else 80}"
    return Endpoint(address, is_secure)


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
