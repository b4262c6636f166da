"""Asking a version again what it was asked, and holding the answer against the one in the journal, bit for bit."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError, Unmeasured
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.version import LOCK
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import find
from modelmark.journal.tables.schema import input_columns, predictions_table
from modelmark.journal.wal.reader import sealed_segments
from modelmark.journal.wal.records import Predicted, Schema
from modelmark.journal.wal.salvage import sound_records
from modelmark.seal.keys import Verifier
from modelmark.serving.models import LoadedModel, load_marked

#: What an answer consists of, as the journal keeps it.
ANSWER: Final = ("score", "prediction", "value", "probabilities")
#: Paths of answers that no model gave.
WITHOUT_MODEL: Final = frozenset({"constant", "review"})


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
        """Raises Missing for an id that is nowhere, Unmeasured where it cannot be told: the version's files or mark are
        gone or changed, no model answered, or its inputs were not kept."""
        recorded = find(self.workspace, id) or list(self._in_log(id))
        if not recorded:
            raise Missing(
                f"there is no prediction {id!r}", code="NO_PREDICTION", field="id",
                hint="what was answered in the last seconds is found once its segment is sealed",
            )  # fmt: skip
        first = recorded[0]
        if first["path"] in WITHOUT_MODEL:
            raise Unmeasured(f"no model answered {id}: the path was {first['path']}", code="CANNOT_REPLAY")
        if any(flag.startswith("SCHEMA_MISSING") for flag in first["flags"]):
            raise Unmeasured(f"the inputs of {id} were not kept", code="CANNOT_REPLAY")
        version = self._loaded(Digest("sha256:" + first["version"].removeprefix("sha256:")))
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

    def _loaded(self, id: Digest) -> LoadedModel:
        try:
            return load_marked(self.artifacts.folder(id), self.verifier(), id)
        except ModelmarkError as error:
            raise Unmeasured(
                f"version {id.short} cannot be asked again: {error.message}", code="CANNOT_REPLAY",
                hint=f"modelmark fetch {id.short} brings its files back from MLflow",
            ) from None  # fmt: skip

    def _in_log(self, id: str) -> Iterator[dict[str, Any]]:
        """In sealed segments that no compaction has taken yet."""
        for file in sealed_segments(self.workspace.wal):
            schemas: dict[str, Schema] = {}
            for record in sound_records(file):
                if isinstance(record, Schema):
                    schemas[record.version] = record
                elif isinstance(record, Predicted) and record.id == id:
                    yield from predictions_table([record], schemas).to_pylist()
                    return

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
    named = input_columns(schema.numeric, schema.text)
    rows = [{name: row[column] for name, column in named.items() if row.get(column) is not None} for row in recorded]
    try:
        batch = version.codec.batch(version.codec.from_mappings(rows))
    except ModelmarkError as error:
        raise Unmeasured(f"the recorded rows are no longer taken: {error.message}", code="CANNOT_REPLAY") from None
    scores = version.execution.run(batch.numbers, batch.texts)
    record = Predicted(
        "", 0, schema.model, schema.version, "", "model", "", "", len(rows), batch.received.numbers, batch.received.texts,
        [], scores.astype("<f8").tobytes(), 0,
    )  # fmt: skip
    found: list[dict[str, Any]] = predictions_table([record], {schema.version: schema}).to_pylist()
    return found
