"""A prediction of the past: its rows as the journal has them, and the version that gave it, ready to be asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmark.contract.rows import Batch
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError, Unmeasured
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import find
from modelmark.journal.tables.schema import input_columns, predictions_table
from modelmark.journal.wal.reader import sealed_segments
from modelmark.journal.wal.records import Predicted, Schema
from modelmark.journal.wal.salvage import sound_records
from modelmark.seal.keys import Verifier
from modelmark.serving.models import LoadedModel, load_marked

#: Paths of answers that no model gave.
WITHOUT_MODEL: Final = frozenset({"constant", "review"})

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    workspace: Workspace
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]

    def rows(self, id: str) -> Rows:
        """Raises Missing for an id that is nowhere."""
        recorded = find(self.workspace, id) or list(self._in_log(id))
        if not recorded:
            raise Missing(
                f"there is no prediction {id!r}", code="NO_PREDICTION", field="id",
                hint="what was answered in the last seconds is found once its segment is sealed",
            )  # fmt: skip
        return recorded

    def version(self, recorded: Rows) -> LoadedModel:
        """Who gave it. Raises Unmeasured where its files or mark are gone or changed, where no model answered, or where its inputs
        were not kept."""
        first = recorded[0]
        if first["path"] in WITHOUT_MODEL:
            raise Unmeasured(f"no model answered {first['id']}: the path was {first['path']}", code="CANNOT_REPLAY")
        if any(flag.startswith("SCHEMA_MISSING") for flag in first["flags"]):
            raise Unmeasured(f"the inputs of {first['id']} were not kept", code="CANNOT_REPLAY")
        id = Digest("sha256:" + first["version"].removeprefix("sha256:"))
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


def received(version: LoadedModel, recorded: Rows) -> Batch:
    """The rows through the version's codec, as they came in. Raises Unmeasured where it no longer takes them."""
    named = input_columns(version.schema.numeric, version.schema.text)
    rows = [{name: row[column] for name, column in named.items() if row.get(column) is not None} for row in recorded]
    try:
        return version.codec.batch(version.codec.from_mappings(rows))
    except ModelmarkError as error:
        raise Unmeasured(f"the recorded rows are no longer taken: {error.message}", code="CANNOT_REPLAY") from None
