"""DuckDB over Delta's own list of files: the one way the tables are queried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import table_names


@contextmanager
def connected(workspace: Workspace, *, threads: int = 2, **tables: str) -> Iterator[Any]:
    """A DuckDB connection in which each name stands for a Delta table, as it is now.

    None where one of the tables does not exist yet: an absent table is simply empty. Times come back in UTC.
    """
    if not set(tables.values()) <= set(table_names(workspace)):
        yield None
        return
    import duckdb
    from deltalake import DeltaTable

    with duckdb.connect(config={"autoinstall_known_extensions": False, "threads": threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in tables.items():
            connection.register(name, DeltaTable(str(workspace.tables / path)).to_pyarrow_dataset())
        yield connection
