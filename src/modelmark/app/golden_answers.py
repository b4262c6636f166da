"""What a version that is being registered answers over the endpoint's own code, for every machine to answer the same.

The requests are made-up rows, so that no person stands in a version's files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from modelmark.contract.probes import probes
from modelmark.contract.table import rows_of
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.version import Probe
from modelmark.registry.convert import Conversion
from modelmark.seal.digests import canonical
from modelmark.serving import golden
from modelmark.serving.flavours import Model
from modelmark.serving.models import LoadedModel

if TYPE_CHECKING:
    import pandas as pd

#: It has no id yet.
_NOBODY: Final = Digest("sha256:" + 64 * "0")


def golden_answers(contract: Contract, conversion: Conversion, train: pd.DataFrame) -> bytes | None:
    """The bytes of golden.json; None where no row is answered. Raises whatever the model's runtime objects to."""
    model = Model(conversion.flavour, conversion.files, conversion.signature)
    version = LoadedModel(_NOBODY, "staged", contract, model)
    found = golden.recorded(version, contract, golden_rows(conversion.sample.probes, contract, train))
    return None if found is None else canonical(found)


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
