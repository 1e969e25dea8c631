"""What a test program is told of TLS: files in PEM, by its environment."""

import os
from pathlib import Path

from sentinel_client import Tls


def tls_options() -> Tls | None:
    def pem(name: str) -> str | None:
        path = os.environ.get(name)
        return None if path is None else Path(path).read_text(encoding="utf-8")

    ca = pem("TEST_CA")
    return None if ca is None else Tls(ca=ca, cert=pem("TEST_CERT"), key=pem("TEST_KEY"))
