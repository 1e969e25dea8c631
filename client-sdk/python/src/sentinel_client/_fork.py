"""gRPC does not work in a forked child of a process that has used it: its threads do not exist there, and calls
never end. Calls of this package fail at once instead, with the reason."""

import os

from .errors import UnusableClientError

_used_by: int | None = None


def mark_grpc_used() -> None:
    """Called before the first use of gRPC in this process."""
    global _used_by
    if _used_by is None:
        _used_by = os.getpid()
    check_not_forked()


def check_not_forked() -> None:
    """Raises `UnusableClientError` in a forked child of a process that has used gRPC."""
    if _used_by is not None and _used_by != os.getpid():
        raise UnusableClientError(
            "this process was forked from one that had used gRPC, so gRPC does not work here. Make the first call "
            "after the fork, or start processes by spawn: multiprocessing.set_start_method('spawn')"
        )
