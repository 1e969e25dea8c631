"""Splits text at the byte limits of the protocol."""


def truncate(text: str, max_bytes: int) -> str:
    """Truncates at a character boundary."""
    return split_at(text, max_bytes)[0]


def split_at(text: str, max_bytes: int) -> tuple[str, str]:
    """The longest prefix of at most `max_bytes` bytes in UTF-8, and the rest."""
    if len(text) * 4 <= max_bytes:
        return text, ""
    data = text.encode(errors="replace")
    if len(data) <= max_bytes:
        return text, ""
    prefix = data[:max_bytes].decode(errors="ignore")
    return prefix, text[len(prefix) :]
