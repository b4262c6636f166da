"""A property that is made once, whichever of several threads asks first."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
C = TypeVar("C")


class once(Generic[C, T]):  # noqa: N801 - it is written as a decorator
    """Like `functools.cached_property`, which since Python 3.12 lets two threads make the same thing twice.

    One lock an instance: who needs several such properties never waits for somebody who waits for it. An error is not
    kept: who asks next tries again.
    """

    def __init__(self, make: Callable[[C], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> once[C, T]: ...
    @overload
    def __get__(self, instance: C, owner: type) -> T: ...
    def __get__(self, instance: C | None, owner: type) -> Any:
        if instance is None:
            return self
        kept = instance.__dict__  # found there first from then on: this is no data descriptor
        with kept.setdefault("_once", RLock()):
            if self._name not in kept:
                kept[self._name] = self._make(instance)
            return kept[self._name]
