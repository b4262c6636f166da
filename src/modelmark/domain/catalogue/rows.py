"""What is known of a gate or a monitor before it runs: one row each.

The contract, the runner, reports, cards, differences, scorecards and release notes all read these rows; a gate or monitor
that has one is known to each of them. Those of other packages are rows too, named by an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from modelmark.domain.contract import Contract
from modelmark.domain.people import Role

#: setting -> (least, most), both allowed.
Ranges = Mapping[str, tuple[float, float]]
LAST: Final = 100


class DifferenceSection(StrEnum):
    """Sections of figures in the difference of two versions, in the order people read them."""

    QUALITY = "quality"
    SLICES = "slices"
    FAIRNESS = "fairness"
    EXPLANATION = "explanation"
    BEHAVIOUR = "behaviour and robustness"
    LOAD = "latency and load"
    DATA = "data and supply"


class CardSection(StrEnum):
    """Sections of the model card (Mitchell et al. 2019) that gates fill."""

    FACTORS = "Factors"
    METRICS = "Metrics"
    ANALYSES = "Quantitative analyses"


S = TypeVar("S", DifferenceSection, CardSection)


@dataclass(frozen=True, slots=True)
class Place(Generic[S]):
    """Where a gate stands. rank: the lowest of a section comes first; equal ones in the order of the table."""

    section: S
    rank: int = LAST


def always(contract: Contract) -> bool:
    """What every contract has: the usual subject of a gate."""
    return True


@dataclass(frozen=True, slots=True)
class Proves:
    """A tile of a scorecard that a passed gate, or a monitor that could tell, proves.

    tile: its id, see `domain.tiles`. check: the id of the one check that proves it, whatever the gate as a whole decides.
    where: the contracts of which it proves the tile; of the others it says nothing about it.
    """

    tile: str
    check: str = ""
    where: Callable[[Contract], bool] = always


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """Everything the house knows of one gate.

    name: as in the contract: `gates.NAME`, or `gates.plugins.NAME` for another package's; an identifier.
    code: "package.module:Class", loaded when the gate first runs; called with the settings it gives a `gates.gate.Gate`.
    settings: a frozen dataclass whose every field has a default; of another package, texts, numbers and booleans alone.
    ranges: of each of its numbers.
    subject: whether the contract names what the gate measures; where it does not, the gate is not asked.
    audiences: who reads it where they sign and in release notes, with its rank among what they read.
    card: None where it fills no section; what did not pass is a caveat of the card all the same.
    """

    name: str
    code: str
    settings: type[Any]
    ranges: Ranges
    audiences: Mapping[Role, int]
    difference: Place[DifferenceSection]
    card: Place[CardSection] | None = None
    tiles: tuple[Proves, ...] = ()
    subject: Callable[[Contract], bool] = always

    @property
    def page(self) -> str:
        """Its page below the documentation's folder, which also has a heading in gates.md."""
        return f"gates/{self.name}.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRow:
    """Everything the house knows of one monitor; fields as of a gate, code giving a `monitors.monitor.Monitor`."""

    name: str
    code: str
    settings: type[Any]
    ranges: Ranges
    tiles: tuple[Proves, ...] = ()
