"""From a folder in which another server keeps a model to a draft contract, and the proof that ours answers as that model does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from modelmark.contract import names, read
from modelmark.contract.answers import Answers
from modelmark.contract.table import agreed_table, rows_of
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.progress import Progress, step
from modelmark.registry import compare, sandbox
from modelmark.registry.convert import Conversion, convert, request_of
from modelmark.registry.drafting.draft import NOTHING_SAID, Drafted, Prepared, prepare
from modelmark.registry.layouts.find import find
from modelmark.registry.layouts.layout import Found
from modelmark.serving.flavours import Model
from modelmark.serving.models import LoadedModel

#: Rows of the holdout that both answer.
ROWS: Final = 200
_NOBODY: Final = Digest("sha256:" + 64 * "0")  # it has no id yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """rows: answered by both. differing: of these, decided otherwise (or, of a regression, moved). refused: by the contract, so
    that nobody compares them. difference: the largest of any score. obstacle: why nothing could be compared."""

    rows: int = 0
    differing: int = 0
    refused: int = 0
    difference: float = 0.0
    obstacle: ModelmarkError | None = None

    @property
    def holds(self) -> bool:
        """Nothing compared proves nothing."""
        return self.rows > 0 and not self.differing


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    found: Found
    drafted: Drafted
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a contract is drafted from, beside the model."""

    train: Path
    holdout: Path
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportModel:
    """progress: told of each stage."""

    progress: Progress

    def __call__(
        self, place: Path, tables: Tables, out: Path, *, model: str | None = None, name: str | None = None,
        said: Answers = NOTHING_SAID,
    ) -> Imported:  # fmt: skip
        """model: of a repository with several. name: to be called by here [default: as there].

        Raises as `find` and `draft.prepare`; then nothing is written.
        """
        found = find(place, model)
        prepared = prepare(
            str(found.file), train=tables.train, holdout=tables.holdout, target=tables.target, out=out, said=said,
            name=name or names.name_from(found.name), progress=self.progress,
        )  # fmt: skip
        return Imported(
            found=found, drafted=prepared.write(said), proof=self._proved(found.file, prepared, out, tables.holdout)
        )

    def _proved(self, file: Path, prepared: Prepared, out: Path, holdout: Path) -> Proof:
        if prepared.rehearsal is not None and prepared.rehearsal.obstacle is not None:
            return Proof(obstacle=prepared.rehearsal.obstacle)
        contract = read.load(out).contract
        try:
            return step(
                self.progress,
                "asking the model and the endpoint's code the same",
                lambda: prove(file, contract, holdout),
            )
        except ModelmarkError as error:
            return Proof(obstacle=error)


def prove(file: Path, contract: Contract, holdout: Path) -> Proof:
    """Rows spread over the holdout, answered by the model itself in the sandbox, with its own library, and by what would be
    served, through the endpoint's own code. Raises as `convert`."""
    rows = agreed_table(holdout, contract, [*(item.name for item in contract.inputs), contract.data.target])
    few = rows.iloc[:: max(1, len(rows) // ROWS)].head(ROWS).reset_index(drop=True)
    conversion = convert(file, contract, few, limits=sandbox.Limits(), progress=lambda _: None)
    version = LoadedModel(
        _NOBODY, "staged", contract, Model(conversion.flavour, conversion.files, conversion.signature)
    )
    return _compared(version, contract, conversion, rows_of(few, contract))


def _compared(
    version: LoadedModel, contract: Contract, conversion: Conversion, asked: list[dict[str, object]]
) -> Proof:
    answered: list[int] = []
    scores: list[list[float]] = []
    for at, row in enumerate(asked):
        try:
            (found,) = version.predict([row])
        except Rejected:
            continue
        answered.append(at)
        scores.append(found)
    refused = len(asked) - len(answered)
    if not answered:
        obstacle = Rejected("the contract refuses every row of the holdout that was tried", code="NOTHING_COMPARED")
        return Proof(refused=refused, obstacle=obstacle)
    differing, difference = compare.parity(conversion.original[answered], np.array(scores), request_of(contract))
    return Proof(rows=len(answered), differing=differing, refused=refused, difference=difference)
