"""Ctrl-C and a full disk, wherever they come: nothing is half done, and the next run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from modelmark.domain.errors import NotYet
from modelmark.domain.workspace import Workspace
from modelmark.registry import mlflow_database
from modelmark.registry.mlflow import Tracking


@contextmanager
def ended_at(statement: int, error: BaseException) -> Iterator[list[int]]:
    """The database raises at its n-th statement from now on."""
    count = [0]

    def before(*_: Any) -> None:
        count[0] += 1
        if count[0] >= statement:
            raise error

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield count
    finally:
        event.remove(Engine, "before_cursor_execute", before)


FULL = OSError(28, "No space left on device")


@pytest.mark.xdist_group("mlflow set-up")
def test_mlflow_s_set_up_is_cut_short_again_and_again_and_then_goes_through(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    tracking = Tracking(workspace=place)
    for statement in (1, 560, 1500):
        with ended_at(statement, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            tracking.start("loans", {}, {})
        with ended_at(statement, FULL), pytest.raises((NotYet, OSError)):
            tracking.start("loans", {}, {})
        assert not place.mlflow_database.exists()
        assert {path.name for path in tmp_path.iterdir()} == {".mlflow.lock"}, "nothing is left"
    assert tracking.start("loans", {}, {})
    told: list[str] = []
    assert Tracking(workspace=place, progress=told.append).start("loans", {}, {})
    assert told == [], "once is enough"


@pytest.mark.xdist_group("mlflow set-up")
@pytest.mark.parametrize("statement", [100, 560])
def test_a_set_up_that_an_earlier_version_left_half_done_is_done_again(tmp_path: Path, statement: int) -> None:
    """`table scorers already exists` used to be all that such a workspace ever said."""
    place = Workspace(tmp_path)
    with ended_at(statement, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        mlflow_database._make(tmp_path / "begun.db", place.mlflow_artifacts.as_uri())
    (tmp_path / "begun.db").rename(place.mlflow_database)
    assert place.mlflow_database.stat().st_size > 0
    assert Tracking(workspace=place).start("loans", {}, {})
