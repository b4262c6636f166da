"""DuckDB over Delta's own list of files: the one way the tables are queried."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import table_names

#: What DuckDB would take for a pattern in the name of a file.
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class TableFiles:
    """A Delta table as it is now. names: of its files, which never change, so that others hold what came since."""

    folder: Path
    names: frozenset[str]
    _table: Any

    @classmethod
    def of(cls, workspace: Workspace, table: str) -> Self:
        from deltalake import DeltaTable

        folder = workspace.tables / table
        found = DeltaTable(str(folder))
        return cls(folder, frozenset(Path(uri).name for uri in found.file_uris()), found)

    def call(
        self, connection: Any, name: str, files: Collection[str] | None = None, *, every_column: bool = True
    ) -> None:
        """Let `name` stand for the table, or for some of its files. DuckDB reads Parquet itself where it can, in a third of
        the time that it takes through pyarrow. every_column: also inputs that came later, for which every file is opened
        first."""
        chosen = sorted(self.names if files is None else files)
        paths = [str(self.folder / each) for each in chosen]
        if not paths or _PATTERN & set(str(self.folder)):
            import pyarrow as pa
            import pyarrow.dataset as ds

            schema = pa.schema(self._table.schema().to_arrow())
            connection.register(
                name, ds.dataset(paths, schema=schema, format="parquet") if paths else schema.empty_table()
            )
            return
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}]{', union_by_name = true' * every_column})"
        )


def received(connection: Any, table: str, prefix: str = "") -> str:
    """When a row of predictions was answered, as SQL: `at`, unless the caller said that it happened at another moment. prefix:
    `p.`, where the query calls the table so."""
    told = "received_at" in connection.table(table).columns  # earlier releases wrote none
    return f'coalesce({prefix}received_at, {prefix}"at")' if told else f'{prefix}"at"'


def said_by(moment: datetime | None) -> int:
    """As labels' `ns` has it; later than any for None."""
    return 2**63 - 1 if moment is None else int(moment.timestamp() * 1_000_000) * 1000


@contextmanager
def opened(*, threads: int = 2) -> Iterator[Any]:
    """A DuckDB connection that knows no table yet. Times come back in UTC."""
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": False, "threads": threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@contextmanager
def connected(workspace: Workspace, *, threads: int = 2, **tables: str) -> Iterator[Any]:
    """A DuckDB connection in which each name stands for a Delta table, as it is now.

    None where one of the tables does not exist yet: an absent table is simply empty.
    """
    if not set(tables.values()) <= set(table_names(workspace)):
        yield None
        return
    with opened(threads=threads) as connection:
        for name, path in tables.items():
            TableFiles.of(workspace, path).call(connection, name)
        yield connection
