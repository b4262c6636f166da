"""DuckDB over Delta's own list of files: the one way the tables are queried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import table_names

#: What DuckDB would take for a pattern in the name of a file.
_PATTERN: Final = frozenset("*?[")


@contextmanager
def connected(workspace: Workspace, *, threads: int = 2, **tables: str) -> Iterator[Any]:
    """A DuckDB connection in which each name stands for a Delta table, as it is now.

    None where one of the tables does not exist yet: an absent table is simply empty. Times come back in UTC.
    """
    if not set(tables.values()) <= set(table_names(workspace)):
        yield None
        return
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": False, "threads": threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in tables.items():
            _name(connection, name, workspace.tables / path)
        yield connection


def _name(connection: Any, name: str, folder: Path) -> None:
    """DuckDB reads Parquet itself where it can, in a third of the time that it takes through pyarrow."""
    from deltalake import DeltaTable

    table = DeltaTable(str(folder))
    files = [str(folder / Path(uri).name) for uri in table.file_uris()]
    if not files or _PATTERN & set(str(folder)):
        connection.register(name, table.to_pyarrow_dataset())
    else:
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)")
