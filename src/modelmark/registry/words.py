"""Closed lists, written as text so that they can be read."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text.

    >>> sorted(words("read write"))
    ['read', 'write']
    """
    return frozenset(text.split())
