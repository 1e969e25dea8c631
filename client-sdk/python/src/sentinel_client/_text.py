"""Text of any origin, made valid and cut at the byte limits of the protocol."""


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


def valid_text(value: object) -> str:
    """A value as text that can be encoded: lone surrogates become `?`. Never raises: programs of users define
    how a value becomes text, and that may fail with any exception."""
    try:
        text = value if isinstance(value, str) else str(value)
        # Unbound, because a subclass of str may override it.
        return str.encode(text, "utf-8", "replace").decode()
    except BaseException as error:
        return f"<{type_name(value)} without text: {type_name(error)}>"


def type_name(value: object) -> str:
    """The name of a value's class. Never raises."""
    try:
        # Unbound, because a metaclass may override it.
        return str(type.__dict__["__name__"].__get__(type(value)))
    except BaseException:
        return "object"
