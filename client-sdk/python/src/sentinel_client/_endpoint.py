"""Server addresses and the settings that all connections share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc

from .errors import InvalidArgumentError

# The message size limit in both directions. Covers the largest batch (4 MiB) and the largest payload that
# a server can allow (16 MiB), with their envelopes.
MAX_MESSAGE_BYTES = 20 * 1024 * 1024

CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # With these values a half-open connection is detected within 8 s.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The client retries calls itself, since it knows which ones are idempotent.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


@dataclass(frozen=True)
class TlsConfig:
    """The certificates of `https://` connections, in PEM."""

    ca: str | None = None
    """The CA certificate for checking servers. Default: the certificate authorities of grpcio."""
    cert: str | None = None
    """The client certificate for mutual TLS. Requires `key`."""
    key: str | None = None
    """The private key of the client certificate."""


class Endpoint(NamedTuple):
    address: str
    """`host:port`"""
    is_secure: bool


_ALLOW_PLAINTEXT_ENV = "SENTINEL_ALLOW_PLAINTEXT"
"""Set to 1, it allows to send an API key without TLS to another machine."""


def parse_endpoints(texts: Sequence[str], tls: TlsConfig | None, credential: str | None) -> list[Endpoint]:
    """The addresses of the servers. Raises `InvalidArgumentError` when an address or the combination with
    `tls` is not valid, and when an API key would be sent to another machine without TLS."""
    if tls is not None and (tls.cert is None) != (tls.key is None):
        raise InvalidArgumentError("invalid tls: set both cert and key, or neither")
    endpoints = [parse_endpoint(text) for text in texts]
    for text, endpoint in zip(texts, endpoints, strict=True):
        if tls is not None and not endpoint.is_secure:
            raise InvalidArgumentError(f"invalid endpoint {text!r}: tls is set, but the scheme is not https://")
        is_exposed = not endpoint.is_secure and not _is_loopback(endpoint.address.rpartition(":")[0])
        if credential is not None and is_exposed and os.environ.get(_ALLOW_PLAINTEXT_ENV) != "1":
            raise InvalidArgumentError(
                f"invalid endpoint {text!r}: an API key is set, but the connection would not be encrypted; use "
                f"https://, or set {_ALLOW_PLAINTEXT_ENV}=1 on a network that encrypts on its own"
            )
    return endpoints


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_endpoint(text: str) -> Endpoint:
    """Parses `http://host:port`, `https://host:port` or `host:port`, which means `http://`."""
    if not isinstance(text, str):
        raise InvalidArgumentError(f"invalid endpoint {text!r}: text is expected, such as http://host:port")
    trimmed = text.strip()
    scheme, separator, _ = trimmed.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise InvalidArgumentError(f"invalid endpoint {text!r}: unknown scheme {scheme}; expected http:// or https://")
    try:
        parts = urlsplit(trimmed if separator else f"http://{trimmed}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        hint = "; write an IPv6 address in brackets, as [::1]:7070" if trimmed.count(":") > 2 else ""
        raise InvalidArgumentError(f"invalid endpoint {text!r}: {error}{hint}") from error
    if not host:
        raise InvalidArgumentError(f"invalid endpoint {text!r}: the host is missing; expected http://host:port")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise InvalidArgumentError(f"invalid endpoint {text!r}: expected only scheme, host and port")
    is_secure = parts.scheme == "https"
    host = f"[{host}]" if ":" in host else host
    return Endpoint(f"{host}:{port or (443 if is_secure else 80)}", is_secure)


def channel_credentials(tls: TlsConfig | None) -> grpc.ChannelCredentials:
    def encode(pem: str | None) -> bytes | None:
        return None if pem is None else pem.encode()

    tls = tls or TlsConfig()
    return grpc.ssl_channel_credentials(encode(tls.ca), encode(tls.key), encode(tls.cert))


def call_metadata(credential: str | None) -> list[tuple[str, str]]:
    """The metadata that every call carries."""
    if credential is not None and not (credential.isascii() and credential.isprintable()):
        raise InvalidArgumentError("invalid credential: an API key has only printable ASCII characters")
    return [] if credential is None else [("authorization", f"Bearer {credential}")]
