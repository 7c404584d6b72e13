"""What a request's text may be. Producers check before they send, the encoder stage checks what arrived."""

from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.limits import MAX_TEXT_CHARACTERS

# C0 and C1 controls and DEL, without tab, line feed and carriage return, which are white space in real logs.
_CONTROLS = frozenset([*range(0x20), 0x7F, *range(0x80, 0xA0)]) - {0x09, 0x0A, 0x0D, 0x85}
_CONTROL_TABLE = dict.fromkeys(_CONTROLS, None)


def checked_text(text: str) -> str:
    """The text, unchanged, if an encoder can read it.

    Raises:
        InvalidRequest: text_empty (nothing but white space), text_too_long (over 8,192 characters),
            text_not_unicode (a lone surrogate) or text_control_character; the message names the position.
    """
    if not isinstance(text, str):
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"the text must be a str, not {type(text).__name__}",
            got=type(text).__name__,
        )
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidRequest(
            ErrorCode.TEXT_TOO_LONG,
            f"the text has {len(text):,} characters; at most {MAX_TEXT_CHARACTERS:,} are accepted, so split it",
            characters=len(text),
            limit=MAX_TEXT_CHARACTERS,
        )
    if not text or text.isspace():
        raise InvalidRequest(
            ErrorCode.TEXT_EMPTY,
            "the text is empty; send at least one visible character",
            characters=len(text),
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            ErrorCode.TEXT_NOT_UNICODE,
            f"the text has a lone surrogate at position {error.start}; decode it with errors='replace' first",
            position=error.start,
        ) from None
    if not text.isprintable() and len(text.translate(_CONTROL_TABLE)) != len(text):
        position = next(i for i, character in enumerate(text) if ord(character) in _CONTROLS)
        raise InvalidRequest(
            ErrorCode.TEXT_CONTROL_CHARACTER,
            f"the text has the control character U+{ord(text[position]):04X} at position {position}; remove it",
            position=position,
            code_point=ord(text[position]),
        )
    return text
