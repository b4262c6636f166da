"""Asking a version again what it was asked, and holding the answer against the one in the journal, bit for bit."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmark.app.recorded import Recorded, received
from modelmark.domain.digest import Digest
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.version import LOCK
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.schema import predictions_table
from modelmark.journal.wal.records import Predicted
from modelmark.seal.keys import Verifier
from modelmark.serving.models import LoadedModel

#: What an answer consists of, as the journal keeps it.
ANSWER: Final = ("score", "prediction", "value", "probabilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """One part of one row's answer that is not what it was."""

    row: int
    field: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """notes: what differs here from where it was answered, or is not known of it."""

    id: str
    model: str
    version: Digest
    label: str
    rows: int
    differences: tuple[FieldDifference, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]

    def __call__(self, id: str) -> Replayed:
        """Raises as `Recorded` does."""
        past = Recorded(workspace=self.workspace, artifacts=self.artifacts, verifier=self.verifier)
        recorded = past.rows(id)
        first = recorded[0]
        version = past.version(recorded)
        again = _asked(version, recorded)
        differences = [
            FieldDifference(row=i, field=name, recorded=before[name], replayed=after[name])
            for i, (before, after) in enumerate(zip(recorded, again, strict=True))
            for name in ANSWER
            if before[name] != after[name]
        ]
        return Replayed(
            id=id, model=first["model"], version=version.id, label=version.label, rows=len(recorded),
            differences=tuple(differences), notes=tuple(self._notes(version.id)),
        )  # fmt: skip

    def _notes(self, id: Digest) -> Iterator[str]:
        """The version's lock says what it was registered with; the journal does not say which processor answered."""
        lock = self.artifacts.read(id, LOCK).decode("utf-8", "replace").splitlines()
        then = dict(line.split("==", 1) for line in lock if "==" in line)
        for name in ("onnxruntime", "numpy"):
            here = importlib.metadata.version(name)
            if then.get(name, here) != here:
                yield f"{name} is {here} here, and was {then[name]} when the version was registered"
        yield f"replayed on {platform.processor() or platform.machine()}; the journal does not say which processor answered"


def _asked(version: LoadedModel, recorded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows through the same codec and model, and the answer in the journal's own form."""
    schema = version.schema
    batch = received(version, recorded)
    scores = version.execution.run(batch.numbers, batch.texts)
    record = Predicted(
        "", 0, schema.model, schema.version, "", "model", "", "", len(recorded), batch.received.numbers, batch.received.texts,
        [], scores.astype("<f8").tobytes(), 0,
    )  # fmt: skip
    found: list[dict[str, Any]] = predictions_table([record], {schema.version: schema}).to_pylist()
    return found
