"""What a gate is: it measures one thing about one candidate. The runner does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Check, Figure, Table
from modelmark.gates.case import Case

#: The limit of a gain that must be more than nothing: a model that is the baseline gains exactly 0.
MORE_THAN_NOTHING: Final = 1e-9

#: (steps done, steps in all).
GateProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A gate's finding before the runner signs it with candidate, time and duration.

    looked_at: digests of what was measured on beside the version itself.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    looked_at: Mapping[str, Digest] | None = None


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a gate of several parts gathers, in the order it is shown, until it is a Measurement."""

    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    looked_at: dict[str, Digest] = field(default_factory=dict)

    def measurement(self) -> Measurement:
        return Measurement(
            checks=tuple(self.checks),
            notes=tuple(self.notes),
            figures=tuple(self.figures),
            tables=tuple(self.tables),
            looked_at=self.looked_at or None,
        )


class Gate(Protocol):
    """alone: True when nothing else may run meanwhile (it measures time). quick: part of `check --fast`.

    settled: True when the same bytes, tables and champion mean the same answer, so it is not asked twice; False when it
    also looks at what may change: people's tests, traffic, packages.
    """

    @property
    def name(self) -> str: ...
    @property
    def alone(self) -> bool: ...
    @property
    def quick(self) -> bool: ...
    @property
    def settled(self) -> bool: ...

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        """Raise Unmeasured when it cannot be measured; the runner records that as a failure to tell, never a pass."""
        ...


#: The settings of a gate's row -> a gate.
GateKind = Callable[[Any], Gate]
