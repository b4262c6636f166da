"""Which rows become golden requests: made-up ones, so that no person stands in a version's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from modelmark.contract.probes import probes
from modelmark.contract.table import rows_of
from modelmark.domain.contract import Contract
from modelmark.domain.version import Probe

if TYPE_CHECKING:
    import pandas as pd


def golden_rows(made: Sequence[Probe], contract: Contract, train: pd.DataFrame) -> list[str]:
    """As JSON, the first to try first: of each family in turn, so that the first few hold something of every one. made: those
    that the original was asked; none for a graph that is its own original."""
    pairs = [(one.family, one.row) for one in made] or _made(contract, train)
    families: dict[str, list[str]] = {}
    for family, row in pairs:
        families.setdefault(family, []).append(row)
    return [row for turn in zip_longest(*families.values()) for row in turn if row is not None]


def _made(contract: Contract, train: pd.DataFrame) -> list[tuple[str, str]]:
    found = probes(contract, train)
    rows = [json.dumps(row, ensure_ascii=False) for row in rows_of(found.frame, contract)]
    return list(zip(found.families, rows, strict=True))
