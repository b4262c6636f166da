"""The monitor of CONTRIBUTING's recipe runs beside ours. Run by test_recipes.py where its package is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from acme.refusals import Refusals
from acme.rows import REFUSALS, RefusalsSettings

import models
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.errors import ContractInvalid, Rejected
from modelmark.domain.finding import Outcome
from modelmark.monitors import enabled
from modelmark.testing.catalogue import check_monitor_row
from modelmark.testing.monitors import check_monitor, planted_view

DOCS = Path(os.environ["SCRATCH"]) / "docs"


def monitors(settings: str) -> Monitors:
    table = models.frame(50)[[*models.NUMERIC, *models.TEXT, "y"]]
    paths = Paths(name="loans", model="model.joblib", train="train.csv", holdout="holdout.csv", target="y")
    drafted = render(infer(table, target="y"), paths)
    said = re.sub(r"(?m)^monitors: .*", f"monitors: {{plugins: {{refusals: {settings}}}}}", drafted)
    return parse(said.encode(), Path("modelmark.yaml")).contract.monitors


def test_its_row_and_its_heading_are_whole() -> None:
    check_monitor_row(REFUSALS, DOCS)


def test_it_is_quiet_on_no_change_and_fires_on_a_planted_one() -> None:
    check_monitor(Refusals(RefusalsSettings()))


def test_the_steward_s_selection_has_it_with_the_contract_s_settings() -> None:
    found = enabled(monitors("{tolerance: 0.5}"))
    assert [one.name for one in found][:3] == ["quality", "drift", "performance"]
    assert found[-1].name == "refusals"
    assert isinstance(found[-1], Refusals)
    assert [finding.outcome for finding in found[-1].evaluate(planted_view())] == [Outcome.OK]
    strict = enabled(monitors("{tolerance: 0.1}"))[-1]
    assert [finding.outcome for finding in strict.evaluate(planted_view())] == [Outcome.ALERT]


def test_the_contract_holds_its_settings() -> None:
    with pytest.raises(ContractInvalid) as caught:
        monitors("{tolerance: -1}")
    assert "monitors.plugins.refusals.tolerance: found -1; allowed: 0 to 1" in str(caught.value)


def test_settings_that_a_later_package_no_longer_takes_are_refused_when_it_is_built() -> None:
    with pytest.raises(Rejected) as caught:
        enabled(Monitors(plugins={"refusals": {"tolerance": 3}}))
    assert (caught.value.code, caught.value.field) == ("BAD_SETTINGS", "refusals.tolerance")
