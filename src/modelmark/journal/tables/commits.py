"""Records as rows of Delta tables: one commit a table, which names where its rows came from, so that none comes twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelmark.journal.tables.observed_rows import OBSERVED, observed_table
from modelmark.journal.tables.receipts import OURS, Intent
from modelmark.journal.tables.schema import LABELS, REFUSALS, labels_table, predictions_table, refusals_table, table_of
from modelmark.journal.tables.shadow_rows import SHADOWS, shadows_table
from modelmark.journal.wal.records import Labelled, Observed, Predicted, Record, Refused, Schema, Shadowed

ROW_GROUP: Final = 16 * 1024  # rows; what finding one prediction has to read
AT_ONCE: Final = 4096  # records that are objects at one time


@dataclass(frozen=True, slots=True)
class Source:
    """Records and where they come from: a writer and the number of its segment, or `salvage/SEGMENT` and which time."""

    name: str
    number: int
    records: Iterable[Record]


@dataclass(slots=True)
class Batch:
    """What a pass is about to append to one table. parts: rows, as tables. records: predictions that nothing tells how to
    read yet. newest: the highest number of each source in it."""

    parts: list[Any] = field(default_factory=list)
    records: list[Predicted] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)

    def take(self, name: str, records: Sequence[Any], schemas: Mapping[str, Schema]) -> None:
        """As columns at once, which take a quarter of the memory."""
        if name == LABELS:
            self.parts.append(labels_table(records))
        elif name == REFUSALS:
            self.parts.append(refusals_table(records))
        elif name == SHADOWS:
            self.parts.append(shadows_table(records, schemas))
        elif name == OBSERVED:
            self.parts.append(observed_table(records))
        else:
            known = [record for record in records if record.version in schemas]
            self.records += [record for record in records if record.version not in schemas]
            if known:
                self.parts.append(predictions_table(known, schemas))

    def table(self, schemas: Mapping[str, Schema]) -> Any:
        """All of it. Versions may differ in their inputs; the columns are united."""
        import pyarrow as pa

        rest = [predictions_table(self.records, schemas)] if self.records else []
        return pa.concat_tables([*self.parts, *rest], promote_options="default")


def by_table(records: Iterable[Record], schemas: dict[str, Schema]) -> dict[str, list[Any]]:
    """Of each table, what becomes its rows; what says how they read goes into schemas."""
    found: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        if isinstance(record, Predicted):
            found[table_of(record.model)].append(record)
        elif isinstance(record, Labelled):
            found[LABELS].append(record)
        elif isinstance(record, Refused):
            found[REFUSALS].append(record)
        elif isinstance(record, Shadowed):
            found[SHADOWS].append(record)
        elif isinstance(record, Observed):
            found[OBSERVED].append(record)
        else:
            schemas[record.version] = record
    return found


def commit(folder: Path, batch: Batch, schemas: Mapping[str, Schema], table: Any) -> int:
    """Append a batch in one commit. The number of its rows."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    data = batch.table(schemas)
    newest = {writer: number for writer, number in batch.newest.items() if "/" not in writer}
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(
        table if table is not None else str(folder),
        data,
        mode="append",
        schema_mode="merge",
        configuration={"delta.logRetentionDuration": "interval 1 days"} if table is None else None,
        writer_properties=writer_properties(),
        commit_properties=CommitProperties(
            custom_metadata={OURS: json.dumps({"kind": "append", "newest": newest})},
            app_transactions=[Transaction(app_id=writer, version=number) for writer, number in batch.newest.items()],
        ),
        post_commithook_properties=no_hooks(),
    )
    return int(data.num_rows)


def open_table(folder: Path) -> Any:
    """The Delta table, or None where there is none yet (a folder that a crash left without a commit counts as none)."""
    from deltalake import DeltaTable

    return DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None


def next_commits(table: Any, count: int = 1) -> Intent:
    """The versions that the next commits will have. table: None for one that is not there yet."""
    first = table.version() + 1 if table is not None else 0
    return Intent(first, first + count - 1)


def writer_properties() -> Any:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP)


def no_hooks() -> Any:
    """No checkpoint behind our back: deltalake would not sync it."""
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
