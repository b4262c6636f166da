"""What a page asks of the database does not grow with models, versions and what is known of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.testclient import TestClient

from builders.workspace import Case, Lived, contract
from modelmark.domain.contract import DataType, Input
from modelmark.domain.metrics import Metric
from modelmark.domain.version import Feed, Signature

PAGES = ("/", "/alerts", "/releases", "/tasks", "/audit", "/scorecards", "/scorecards/many", "/models/many",
         "/models/many/rows", "/models/many/refusals", "/diff")  # fmt: skip


def never_run(name: str) -> Case:
    """A contract with the rows it was trained on; nothing here runs the model."""
    agreed = contract(name, (Input(name="a", type=DataType.NUMBER, minimum=-9, maximum=9),), metric=Metric.ACCURACY)
    return Case(
        contract=agreed,
        artifact=b"never run",
        signature=Signature(feeds=(Feed(graph_input="x", columns=("a",), dtype="float32"),), score_output="p"),
        x=pd.DataFrame({"a": np.linspace(-1, 1, 200)}),
        y=[0] * 200,
        scores=np.full((200, 2), 0.5),
        holdout=slice(0, 200),
    )


def client(root: Path, *, models: int, versions: int) -> TestClient:
    """`many` has so many versions, each released after the last, the newest not yet; other models have one each."""
    lived, case = Lived.at(root), never_run("many")
    start = lived.now - timedelta(hours=30)
    for number in range(1, versions + 1):
        at = start + timedelta(minutes=10 * number)
        made = lived.register(case, number, at)
        lived.check(case, made, at)
        if number < versions:
            lived.release(case, made, at + timedelta(minutes=1))
    for k in range(1, models):
        other = dataclasses.replace(never_run(f"model-{k}"))
        made = lived.register(other, 1, lived.now - timedelta(hours=1))
        lived.check(other, made, lived.now - timedelta(hours=1))
        lived.release(other, made, lived.now - timedelta(minutes=50))
    lived._clock = None
    return TestClient(lived.app.dashboard(), base_url="http://127.0.0.1:8081", follow_redirects=True)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent from now on."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def statements(pages: TestClient) -> dict[str, int]:
    found = {}
    for page in PAGES:
        with counted() as sent:
            answer = pages.get(page)
        assert answer.status_code == 200, (page, answer.text[:300])
        found[page] = len(sent)
    return found


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return statements(client(tmp_path_factory.mktemp("few"), models=2, versions=3))


def test_no_page_asks_more_where_there_are_more_models_and_versions(few: dict[str, int], tmp_path: Path):
    assert statements(client(tmp_path, models=5, versions=8)) == few
    assert max(few.values()) < 60
