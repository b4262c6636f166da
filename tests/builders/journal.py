"""Journal records with ordinary contents, and a workspace with some of them written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from builders.domain import NOON, version
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.records import Labelled, Predicted, Record, Refused, Schema
from modelmark.journal.wal.writer import Writer

AT = int(NOON.timestamp()) * 1_000_000_000
VERSION = version().id.hex


def pid(name: str) -> str:
    """A prediction's id for each name, as earlier releases made them: it does not say how many rows there are."""
    digits = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:20]}0{digits[21:]}"


def schema(**changes: Any) -> Schema:
    usual: dict[str, Any] = {
        "version": VERSION, "model": "loans", "task": "binary", "numeric": ["age"], "text": ["job"],
        "classes": [0, 1], "positive": 1, "threshold": 0.5,
    }  # fmt: skip
    return Schema(**{**usual, **changes})


def predicted(
    id: str, *, ages: Sequence[float] = (40.0,), jobs: Sequence[str | None] = ("a",), score: float = 0.7, **changes: Any
) -> Predicted:
    rows = len(ages)
    scores = np.tile(np.array([1 - score, score]), (rows, 1)).astype("<f8")
    usual: dict[str, Any] = {
        "id": id, "at": AT, "model": "loans", "version": VERSION, "arm": "champion", "path": "model", "request_id": "",
        "entity": "", "rows": rows, "numbers": np.array(ages, "<f8").tobytes(), "texts": list(jobs), "flags": [],
        "scores": scores.tobytes(), "micros": 150,
    }  # fmt: skip
    return Predicted(**{**usual, **changes})


def label(id: str, value: bool | int | float | str, *, row: int = 0, at: int = AT, model: str = "loans") -> Labelled:
    return Labelled(id, row, at, model, value, "test")


def refused(count: int = 1, *, at: int = AT, version: str = VERSION, arm: str = "champion") -> Refused:
    return Refused(at, "loans", "OUT_OF_RANGE", "age", count, version, arm)


def journal(root: Path, *records: Record, sealed: bool = True) -> Workspace:
    """A workspace in whose journal one writer, gone by now, left these."""
    workspace = Workspace(root)
    with Writer(workspace.wal) as writer:
        writer.declare(schema())
        writer.append_many(records)
    return workspace
