"""The endpoint's own description, held against what it does."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx2
import pytest

import serving_case as case
from browser.conftest import dashboard_of
from builders.workspace import Lived, quiet
from described import hold
from modelmark.domain.contract import DataType, Input, Policy, Serving
from modelmark.serving.supervisor import running
from modelmark.web.openapi import document

INPUTS = (
    Input(name="age", type=DataType.NUMBER, minimum=18.0, maximum=99.0),
    Input(name="hours/week", type=DataType.INTEGER, minimum=0.0, nullable=True),
    Input(name="paid", type=DataType.BOOLEAN),
    Input(name="pay", type=DataType.NUMBER, minimum=0.0, on_out_of_range=Policy.FLAG, nullable=True),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    agreed = case.contract(inputs=INPUTS, serving=Serving(deadline_ms=5000, max_rows=20, max_body_bytes=1_000_000))
    built = case.build(tmp_path_factory.mktemp("described"), agreed)
    case.release(built)
    with running(built.workspace) as supervisor:
        yield supervisor.address


def test_every_address_does_what_its_description_says(address):
    # A row must be one of its prediction's, of which only the id says how many there are; columns are of one length, tensors
    # of a shape; and nothing is loaded over the network.
    beyond = ["label.", "v2.", "tfs.predict.", "tfs.regress.", "invocations"]
    assert hold(address, "/openapi.json", beyond=beyond, examples=5) == 45


def test_the_description_is_openapi_and_names_every_model(address):
    told = httpx2.get(f"{address}/openapi.json").json()
    assert told["openapi"] == "3.1.0"
    (model,) = [one["name"] for one in httpx2.get(f"{address}/models").json()["models"]]
    assert {f"/models/{model}", f"/models/{model}/predict", f"/models/{model}/labels", "/metrics"} <= set(told["paths"])
    row = told["components"]["schemas"][f"{model}.Row"]
    assert row["properties"]["age"] == {"type": "number", "minimum": 18.0, "maximum": 99.0}
    assert row["properties"]["hours/week"]["type"] == ["integer", "null"]
    assert row["properties"]["pay"]["minimum"] < -1e30, "a value that is only flagged is taken"
    json.dumps(told, allow_nan=False)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    lived, case = Lived.at(tmp_path_factory.mktemp("read")), quiet()
    at = lived.now - timedelta(hours=1)
    version = lived.register(case, 1, at)
    lived.check(case, version, at)
    lived.release(case, version, at)
    lived.predict(case.contract.name, [at + timedelta(minutes=n) for n in range(30)], label_after=timedelta(minutes=1))
    lived._clock = None
    with dashboard_of(lived.app) as home:
        yield lived.app, home


def test_the_read_api_does_what_its_description_says(dashboard):
    app, home = dashboard
    described = document(["any"])["paths"]
    assert set(described) == {door.path for door in app.dashboard().routes if door.path.startswith("/api/")}
    # Which version, input or page there is, and which fields go together, no schema can say.
    assert hold(home, "/api/openapi.json", beyond=["rows", "model", "input"]) == len(described) - 1, (
        "its own address apart"
    )
