"""The endpoint's own description names every address that is answered, and none that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import serving_case as case
from modelmark.contract.rows import RowCodec
from modelmark.seal import keys
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.models import LiveArm, LiveRoute, load_marked
from modelmark.serving.wire import installed, openapi
from modelmark.serving.wire.openapi import document
from modelmark.serving.worker import Options


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    built = [case.build(tmp_path_factory.mktemp(f"v{n}"), number=n) for n in (1, 2)]
    return [load_marked(one.folder, keys.verifier(one.workspace.keys), one.id) for one in built]


@pytest.mark.parametrize("choices", [{}, {"kserve_v1": True, "mlflow_model": "other"}])
@pytest.mark.parametrize("models", [["churn"], ["churn", "other"]])
def test_every_address_is_described_and_every_description_is_answered(versions, choices, models):
    arms = (LiveArm("champion", 0.9, versions[0]), LiveArm("canary", 0.1, versions[1]))
    routes = {name: LiveRoute(name, arms, None) for name in models}
    options = Options(workspace=Path(), **choices)
    spoken = installed(options.protocols(Explanations(Path(), lambda: pytest.fail("asked"))))
    answered = {(method, path) for wire in spoken for method, path, _ in wire.endpoints(routes)}
    described: set[tuple[str, str]] = set()
    for path, operations in document(routes, **options.protocols()["openapi"])["paths"].items():
        for method, operation in operations.items():
            (place,) = operation.get("parameters", [{"schema": {"enum": [None]}}])
            for value in place["schema"]["enum"]:
                described.add((method.upper(), re.sub(r"\{version\}", str(value), path)))
    assert described - {("GET", "/metrics")} == answered


def test_operations_go_by_names_of_their_own(versions):
    routes = {name: LiveRoute.alone(versions[0]) for name in ("churn", "other")}
    told = document(routes, kserve=True)["paths"]
    names = [one["operationId"] for operations in told.values() for one in operations.values()]
    assert len(names) == len(set(names))


def test_a_wide_model_s_rows_stand_in_the_description_a_few_times_whatever_addresses_take_them():
    agreed = case.contract(inputs=case.numbers(300))
    version = SimpleNamespace(
        codec=RowCodec(agreed), contract=agreed, names=("v1", "1"), label="v1", classes=["0", "1"], flavour="onnx"
    )
    route = SimpleNamespace(model="churn", arms=(SimpleNamespace(name="champion", version=version),), champion=version)
    told = json.dumps(document({"churn": route}, kserve=True))
    assert told.count('"f299": {') == 4, "of a row, of rows with bare values and with each in a list, and of columns"


def test_it_is_made_when_somebody_asks_and_once(monkeypatch):
    made = []
    monkeypatch.setattr(openapi, "document", lambda routes, **_: made.append(routes) or {})
    ((_, _, end),) = openapi.OpenApi().endpoints({})
    assert made == []
    assert [end.act(None, b"", {}).body for _ in range(2)] == [b"{}", b"{}"]
    assert len(made) == 1
