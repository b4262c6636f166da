"""The part of the contract that says how a version gets its traffic."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.domain import contract
from modelmark.contract.read import dotted, parse
from modelmark.contract.rules import rule_violations
from modelmark.domain.contract import Labels
from modelmark.domain.rollouts.settings import Margins, Rollout, Stage, StageKind
from modelmark.seal.digests import digest_value, plain

SHADOW, FIVE, HALF = (
    Stage(kind=StageKind.SHADOW), Stage(kind=StageKind.CANARY, share=0.05), Stage(kind=StageKind.CANARY, share=0.5),
)  # fmt: skip


def broken(rollout: Rollout, **more: Any) -> list[str]:
    return [dotted(rule.path) for rule in rule_violations(contract(rollout=rollout, **more))]


def test_what_is_left_unsaid_is_a_rollout_that_can_be_run():
    assert broken(Rollout()) == []
    kinds = [(stage.kind.value, stage.share) for stage in Rollout().stages]
    assert kinds == [("shadow", None), ("canary", 0.05), ("canary", 0.25), ("canary", 0.5)]
    assert not Rollout().ships_itself


def test_a_contract_without_one_keeps_its_digest_and_says_nothing_of_it():
    assert "rollout" not in plain(contract())
    assert digest_value(contract()) == digest_value(contract(rollout=None))
    assert digest_value(contract()) != digest_value(contract(rollout=Rollout()))


@pytest.mark.parametrize(
    ("rollout", "fields"),
    [
        pytest.param(Rollout(stages=()), ["rollout.stages"], id="no stage"),
        pytest.param(Rollout(stages=(SHADOW,) * 13), ["rollout.stages"], id="too many"),
        pytest.param(Rollout(stages=(FIVE, SHADOW)), ["rollout.stages[1].kind"], id="a shadow after a canary"),
        pytest.param(Rollout(stages=(dataclasses.replace(SHADOW, share=0.1),)), ["rollout.stages[0].share"],
                     id="a shadow with a share"),
        pytest.param(Rollout(stages=(Stage(kind=StageKind.CANARY),)), ["rollout.stages[0].share"], id="no share"),
        pytest.param(Rollout(stages=(HALF, FIVE)), ["rollout.stages[1].share"], id="a share that shrinks"),
        pytest.param(Rollout(stages=(dataclasses.replace(HALF, share=1.0),)), ["rollout.stages[0].share"], id="all of it"),
        pytest.param(Rollout(stages=(dataclasses.replace(HALF, least_requests=0),)), ["rollout.stages[0].least_requests"],
                     id="no request"),
        pytest.param(Rollout(stages=(dataclasses.replace(HALF, least_minutes=121.0, deadline_hours=26.0),) * 1), [],
                     id="fits"),
        pytest.param(Rollout(stages=(dataclasses.replace(HALF, least_minutes=6000.0),)), ["rollout.stages[0].least_minutes"],
                     id="longer than its deadline"),
        pytest.param(Rollout(margins=Margins(latency_ratio=0.9)), ["rollout.margins.latency_ratio"], id="faster is too slow"),
        pytest.param(Rollout(margins=Margins(errors=1.5)), ["rollout.margins.errors"], id="more than all"),
        pytest.param(Rollout(false_decision_rate=0.5), ["rollout.false_decision_rate"], id="a coin"),
    ],
)  # fmt: skip
def test_a_rule_is_broken_where(rollout: Rollout, fields: list[str]):
    assert broken(rollout) == fields


def test_labels_must_come_before_the_last_stage_ends_unless_nobody_waits_for_them():
    late = Labels(expected_delay_hours=720.0)
    assert broken(Rollout(), labels=late) == ["rollout.stages[3].deadline_hours"]
    assert broken(Rollout(margins=Margins(quality=None)), labels=late) == []


def test_a_file_says_it_in_few_lines():
    usual = plain(contract())
    text = yaml.safe_dump({**usual, "rollout": {"ships_itself": True, "stages": [{"kind": "canary", "share": 0.1}]}})
    found = parse(text.encode(), Path("modelmark.yaml")).contract.rollout
    assert found == Rollout(ships_itself=True, stages=(Stage(kind=StageKind.CANARY, share=0.1),))
