"""Finds out whether a server speaks TLS, for the error of a connection without TLS that fails."""

import contextlib
import socket
import ssl
from urllib.parse import urlsplit

_TIMEOUT_S = 0.5
# The types of the TLS records with which a server may respond to ClientHello: alert and handshake.
_TLS_RECORDS = (b"\x15", b"\x16")


def speaks_tls(address: str) -> bool:
    """Blocks for at most about 1 s. `address` is `host:port`."""
    parts = urlsplit(f"//{address}")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    try:
        with socket.create_connection((parts.hostname, parts.port), _TIMEOUT_S) as connection:
            connection.sendall(outgoing.read())
            return connection.recv(1) in _TLS_RECORDS
    except OSError:
        return False


def certificate_problem(address: str, ca: str | None) -> str | None:
    """Why the certificate of the server at `host:port` is not trusted, or `None` if it is, or nothing is known."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    context = ssl.create_default_context(cadata=ca)
    try:
        with (
            socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return None
