"""Text that others wrote, made fit for a terminal or a log: it may say anything and do nothing."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Invisible, and needed inside words of several scripts and inside emoji.
_JOINERS: Final = "\u200c\u200d\u00ad"
_HARMFUL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: object, most: int = 4_000) -> str:
    r"""The text on one line of at most `most` characters and a note: controls (so also a terminal's escape sequences),
    marks that turn the direction of writing, line ends and lone surrogates are spelled out.

    >>> one_line("red: \x1b[31m\nnext")
    'red: \\x1b[31m\\nnext'
    """
    found = str(text)
    if len(found) > most:
        found = f"{found[:most]}… ({len(found):,} characters)"
    return found if found.isprintable() else "".join(map(_spelled, found))


def lines(text: object) -> str:
    """`one_line` for each line of a text that has several; no limit."""
    return "\n".join(one_line(line, most=len(line)) for line in str(text).split("\n"))


def in_json(text: str) -> str:
    r"""A JSON text whose strings are spelled as JSON spells them where they would do harm: the same value to a reader.

    >>> in_json('{"a": "\u202e"}')
    '{"a": "\\u202e"}'
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(letter if letter == "\n" or not _is_harmful(letter) else _escaped(letter) for letter in text)


def _is_harmful(letter: str) -> bool:
    return unicodedata.category(letter) in _HARMFUL and letter not in _JOINERS


def _spelled(letter: str) -> str:
    if not _is_harmful(letter):
        return letter
    number = ord(letter)
    short = f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65_536 else f"\\U{number:08x}"
    return _SHORT.get(letter, short)


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
