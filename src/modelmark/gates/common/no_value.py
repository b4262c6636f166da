"""What rows without a value are called beside rows that have one: they are a group like any other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

NO_VALUE: Final = "no value"


def unlike(taken: Collection[str], name: str = NO_VALUE) -> str:
    """The name, in as many brackets as it takes to be none of those taken.

    >>> unlike(("no value", "north")), unlike(("north",))
    ('(no value)', 'no value')
    """
    while name in taken:
        name = f"({name})"
    return name


def visible(names: Collection[str]) -> tuple[str, ...]:
    """Texts as people can read them, in order, none twice: a blank one stands in quotes.

    >>> visible(("north", " ", ""))
    ('north', '" "', '""')
    """
    return tuple(name if name.strip() else unlike(names, f'"{name}"') for name in names)
