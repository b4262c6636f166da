"""Which protocols are spoken, and how: from a setting to the addresses of a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelmark.cli.endpoint import _worker_options
from modelmark.domain.errors import Rejected
from modelmark.domain.settings import Settings
from modelmark.serving.wire import Predict, installed
from modelmark.serving.worker import Options

ROUTES = {"cats": None, "dogs": None}


def addresses(**choices):
    """Who answers at an address, as the service decides it."""
    found = {}
    for wire in installed(Options(workspace=Path(), **choices).protocols()):
        if type(wire).__name__ in ("KServe", "Mlflow"):
            found |= {(method, path): end for method, path, end in wire.endpoints(ROUTES)}
    return found


def test_settings_reach_the_workers():
    chosen = Settings.read({"MODELMARK_MLFLOW_MODEL": "cats", "MODELMARK_KSERVE_V1": "1"})
    assert _worker_options(chosen)[-2:] == ("--mlflow-model=cats", "--kserve-v1")
    assert _worker_options(Settings.read({"MODELMARK_KSERVE_V1": "0"})) == _worker_options(Settings())


def test_what_is_neither_0_nor_1_is_refused():
    with pytest.raises(Rejected, match="neither 0 nor 1"):
        Settings.read({"MODELMARK_KSERVE_V1": "yes"})


def test_a_worker_speaks_what_was_chosen():
    usual, chosen = addresses(), addresses(mlflow_model="cats", kserve_v1=True)
    assert ("GET", "/v1/models") in usual
    assert ("POST", "/v1/models/cats:predict") not in usual
    assert isinstance(chosen["POST", "/v1/models/cats:predict"], Predict)
    assert not isinstance(usual["POST", "/invocations"], Predict)
    assert chosen["POST", "/invocations"].model == "cats"


def test_kserve_comes_after_tensorflow_serving_with_whom_it_shares_addresses():
    names = [type(wire).__name__ for wire in installed()]
    assert names.index("KServe") > names.index("Tfs")
