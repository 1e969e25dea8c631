"""Job ids: UUIDs, which the server writes in lower case with hyphens."""

from collections.abc import Sequence
from uuid import UUID

from .errors import InvalidArgumentError


def canonical_id(id: str) -> str:
    """The id as the server writes it, so that ids can be compared as text. A text that is not a UUID is returned
    unchanged: the server rejects it."""
    if not isinstance(id, str):
        raise InvalidArgumentError(f"invalid id: {id!r}; a job id is text")
    try:
        return str(UUID(id))
    except ValueError:
        return id


def canonical_ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise InvalidArgumentError(f"invalid ids: {ids!r}; a list of job ids is expected")
    return [canonical_id(id) for id in ids]
