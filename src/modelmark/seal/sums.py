"""A signed sum over rows that come, change and go: whichever is changed past the program, the sum differs.

Each row adds SHAKE-256 of its canonical form, 256 bytes as a little-endian number, modulo 2^2048. The order does not matter
and a row is taken out by subtracting, so a write costs what it writes. Source: Bellare and Micciancio 1997, with the
modulus that Wagner's attack of 2002 asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from modelmark.seal.digests import canonical

BYTES: Final = 256
_MODULUS: Final = 1 << (8 * BYTES)


@dataclass(frozen=True, slots=True)
class RowSum:
    """count: rows. total: the sum of their terms."""

    count: int = 0
    total: int = 0

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        terms = [int.from_bytes(hashlib.shake_256(canonical(row)).digest(BYTES), "little") for row in rows]
        return cls(len(terms), sum(terms) % _MODULUS)

    def changed(self, before: RowSum, after: RowSum) -> RowSum:
        """This sum where some rows were `before` and are `after`."""
        return RowSum(self.count - before.count + after.count, (self.total - before.total + after.total) % _MODULUS)

    def plain(self) -> dict[str, Any]:
        """As it is signed. sum: hexadecimal, 512 digits."""
        return {"count": self.count, "sum": self.total.to_bytes(BYTES, "little").hex()}

    @classmethod
    def restored(cls, value: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for anything that `plain` did not give."""
        return cls(int(value["count"]), int.from_bytes(bytes.fromhex(value["sum"]), "little"))
