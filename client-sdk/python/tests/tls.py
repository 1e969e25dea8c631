"""TLS options of the test programs, from PEM files that environment variables name."""

import os
from pathlib import Path

from sentinel_client import TlsConfig


def tls_options() -> TlsConfig | None:
    def read(name: str) -> str | None:
        path = os.environ.get(name)
        return None if path is None else Path(path).read_text(encoding="utf-8")

    ca = read("TEST_CA")
    return None if ca is None else TlsConfig(ca=ca, cert=read("TEST_CERT"), key=read("TEST_KEY"))
