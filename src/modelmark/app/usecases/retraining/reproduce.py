"""Training a version once more from what it came from, and holding the result against it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from modelmark.app.retrained import FACTS, TRAIN, asked, version_of
from modelmark.contract.table import agreed_table
from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, Rejected, Tampered
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Trainer
from modelmark.domain.progress import Progress, Steps
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.gates.case import Case
from modelmark.registry.convert import Conversion
from modelmark.seal.digests import digest_bytes, digest_file
from modelmark.stats.decisions import decided


class Likeness(StrEnum):
    """From the strictest to none."""

    FILE = "the same file"
    GRAPH = "the same served bytes"
    ANSWERS = "the same answers"
    OTHER = "other answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """rows: of the holdout, on which both were asked, where the files differ. flipped: decided otherwise. distance: the largest
    difference of a score."""

    version: Version
    likeness: Likeness
    seconds: float
    train: Digest
    seed: int
    rows: int = 0
    flipped: int = 0
    distance: float = 0.0

    @property
    def same(self) -> bool:
        return self.likeness is not Likeness.OTHER


#: Converts a model file as registering does: (file, contract, holdout, train).
Converted = Callable[..., Conversion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduce:
    """contract_of: the version's own. open_case: puts a version before its tables. convert: as registering does."""

    workspace: Workspace
    contract_of: Callable[[Version], Contract]
    open_case: Callable[[Version, Path], Case]
    convert: Converted
    trainer: Trainer

    def __call__(self, version: Version, path: Path, *, progress: Progress) -> Reproduced:
        """path: the contract, or its folder, for a version that people trained; one that `retrain` made has its own.

        Raises Rejected (NO_ENTRY) where the version's contract names no training code; Conflict (OTHER_TABLE) where the table
        is not the one that it learned from; Tampered for a frozen table that was changed; what training fails with.
        """
        contract, steps = self.contract_of(version), Steps(progress)
        if contract.retraining.entry is None:
            raise Rejected(
                f"the contract of {version.label} names no code that trains", code="NO_ENTRY", field="retraining.entry",
                hint="retraining: {entry: train.py:train} in modelmark.yaml, then modelmark register",
            )  # fmt: skip
        base = self._folder(version, path)
        with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
            table = self._table(version, contract, base, Path(name))
            steps(f"training: {contract.retraining.entry}")
            trained = self.trainer.train(asked(contract, base, table))
            model = Path(name) / trained.name
            model.write_bytes(trained.model)
            same_file = digest_bytes(trained.model) == version.lineage.source_digest
            steps("comparing")
            likeness, rows, flipped, distance = (
                (Likeness.FILE, 0, 0, 0.0) if same_file else self._compare(version, contract, base, model)
            )
        steps.end()
        return Reproduced(
            version=version, likeness=likeness, seconds=trained.seconds, train=version.lineage.train_digest,
            seed=contract.retraining.seed, rows=rows, flipped=flipped, distance=distance,
        )  # fmt: skip

    def _folder(self, version: Version, path: Path) -> Path:
        for folder in sorted((self.workspace.retraining / version.model).glob("*")):
            if version_of(folder) == version.id:
                return folder
        return (path if path.is_dir() else path.parent).resolve()

    def _table(self, version: Version, contract: Contract, base: Path, scratch: Path) -> Path:
        """What the code got: the frozen table, or the training table as its contract reads it."""
        own = base / contract.data.train
        found = digest_file(own) if own.is_file() else None
        frozen = (base / FACTS).is_file()
        if found != version.lineage.train_digest and frozen:
            raise Tampered(f"{own} is not the table that {version.label} learned from", code="CHANGED", field=TRAIN)
        if found != version.lineage.train_digest:
            raise Conflict(
                f"{own} is not the table that {version.label} learned from", code="OTHER_TABLE", field="data.train",
                limit=version.lineage.train_digest.short, hint="bring that table back, or name its folder with --contract",
            )  # fmt: skip
        if frozen:
            return own
        wanted = [item.name for item in contract.inputs] + [contract.data.target]
        table = agreed_table(own, contract, wanted)
        table[wanted].to_parquet(scratch / TRAIN, index=False)
        return scratch / TRAIN

    def _compare(
        self, version: Version, contract: Contract, base: Path, model: Path
    ) -> tuple[Likeness, int, int, float]:
        case = self.open_case(version, base)
        again = self.convert(model, contract, case.holdout, case.train)
        main = next(iter(again.files.values()))
        if digest_bytes(main) == version.components.artifact:
            return Likeness.GRAPH, 0, 0, 0.0
        before, now = case.scores, again.scores
        asked_rows = ~np.isnan(before).any(axis=1)
        distance = float(np.abs(before - now)[asked_rows].max(initial=0.0))
        flipped = int((self._decided(before, contract) != self._decided(now, contract))[asked_rows].sum())
        likeness = Likeness.ANSWERS if distance == 0 else Likeness.OTHER
        return likeness, int(asked_rows.sum()), flipped, distance

    @staticmethod
    def _decided(scores: np.ndarray, contract: Contract) -> np.ndarray:
        if contract.model.task is Task.REGRESSION:
            return scores[:, 0]
        positive = positive_of(contract) if contract.model.task is Task.BINARY else None
        return decided(scores, positive=positive, threshold=contract.outputs.threshold)
