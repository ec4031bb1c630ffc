"""One setting's value, read from a text or from TOML; and as a message shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from dockyard.settings_fields import RELATIVE_PATH, Field, Kind
from dockyard.settings_masking import mask_credentials

__all__ = ["UNPRINTABLE", "BadValueError", "read_value", "show_value", "split_entries"]

# Control characters, line and paragraph separators, and what is left of bytes that are no UTF-8.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


class BadValueError(Exception):
    """``offending`` is the part of the value that is at fault, ``fault`` words that follow it."""

    def __init__(self, offending: object, fault: str) -> None:
        self.offending = offending
        self.fault = fault
        super().__init__(fault)


def _refuse_unprintable(text: str) -> None:
    if found := UNPRINTABLE.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise BadValueError(None, f"holds a control or undecodable character ({code})")


def _string(field: Field, raw: object) -> str:
    if not isinstance(raw, str):
        raise BadValueError(raw, f"is not {field.expects}")
    text = raw.strip()
    _refuse_unprintable(text)
    if field.choices and text.lower() in field.choices:
        return text.lower()
    valid = not field.choices and (re.fullmatch(field.rule.pattern, text) if field.rule else text)
    if not valid:
        raise BadValueError(text, f"is not {field.expects}")
    return PurePosixPath(text).as_posix() if field.rule is RELATIVE_PATH else text


def _number(field: Field, raw: object) -> int:
    units = _UNITS if field.kind is Kind.BYTES else {"": 1}
    number = None
    if isinstance(raw, int) and not isinstance(raw, bool):
        number = raw
    elif isinstance(raw, str):
        match = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?\s*([A-Za-z]*)", raw.strip())
        unit = units.get(match[3].lower()) if match else None
        if match and unit and (unit > 1 or not match[2]):
            fraction = match[2] or ""
            number = int(match[1] + fraction) * unit // 10 ** len(fraction)
    if number is None or number < field.minimum or number > (field.maximum or number):
        raise BadValueError(raw, f"is not {field.expects}")
    return number


def _boolean(field: Field, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    known = _BOOLEANS.get(raw.strip().lower()) if isinstance(raw, str) else None
    if known is None:
        raise BadValueError(raw, f"is not {field.expects}")
    return known


def split_entries(field: Field, raw: object) -> Iterator[object]:
    """Yield the unread entries of a list; :class:`BadValueError` where it is none."""
    if isinstance(raw, str):
        texts = raw.split() if field.separator == " " else re.split("[,\n]", raw)
        yield from (text for text in texts if text.strip())
    elif isinstance(raw, Mapping) and field.kind is Kind.MAPPING:
        yield from (f"{key}={value}" for key, value in raw.items())
    elif isinstance(raw, (list, tuple)):
        yield from raw
    elif field.kind is Kind.INTEGERS:
        yield raw
    else:
        raise BadValueError(raw, "is not a list")


def _command(field: Field, raw: object) -> tuple[str, ...]:
    words: object = raw
    if isinstance(raw, str):
        try:
            if raw.lstrip().startswith("["):
                import json

                words = json.loads(raw)
            else:
                import shlex

                words = shlex.split(raw)
        except (ValueError, RecursionError) as error:
            raise BadValueError(raw, f"is not {field.expects}: {error}") from None
    if not isinstance(words, (list, tuple)) or (words and not words[0]):
        raise BadValueError(raw, f"is not {field.expects}")
    for word in words:
        if not isinstance(word, str):
            raise BadValueError(word, "is not a string, as each word of a command is")
        _refuse_unprintable(word)
    return tuple(words)


def read_value(field: Field, raw: object) -> object:
    """Read one value, from a text or from TOML; :class:`BadValueError` where it is not valid."""
    match field.kind:
        case Kind.BOOLEAN:
            return _boolean(field, raw)
        case Kind.INTEGER | Kind.BYTES:
            return _number(field, raw)
        case Kind.COMMAND:
            return _command(field, raw)
        case Kind.INTEGERS:
            return tuple(
                dict.fromkeys(_number(field, entry) for entry in split_entries(field, raw))
            )
        case Kind.STRINGS:
            return tuple(
                dict.fromkeys(_string(field, entry) for entry in split_entries(field, raw))
            )
        case Kind.MAPPING:
            pairs = (_string(field, entry).partition("=") for entry in split_entries(field, raw))
            return {key: value for key, _, value in pairs}
        case _:
            return _string(field, raw)


def show_value(value: object, limit: int = 60) -> str:
    """Quote a value for a message: printable, without credentials, at most ``limit`` characters."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "an array"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = UNPRINTABLE.sub("�", mask_credentials(text))
    return f"“{text[: limit - 1]}…”" if len(text) > limit else f"“{text}”"
