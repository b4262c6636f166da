"""The report says what the evidence says, offline, and runs nothing that data may smuggle in."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

import cases
import models
from modelmark.contract.catalogue import required_gates
from modelmark.domain.evidence import Bound, Check, Evidence, Figure, Limit, Table
from modelmark.gates.report import render_report, write_report

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def version(tmp_path):
    models.write_tables(tmp_path, models.frame(5), models.frame(5))
    return cases.version(tmp_path, models.contract())


def evidence(version, gate, measured=0.0, **changes):
    check = Check(name="c", measured=measured, limit=Limit(bound=Bound.AT_MOST, value=0), sentence=f"{gate} says so.")
    return Evidence(gate=gate, candidate=version.id, checks=(check,), at=cases.NOW, seconds=0.1, **changes)


GATES = required_gates(models.contract())
ALL = len(GATES)


def page(version, found):
    return render_report(version=version, contract=models.contract(), evidence=found, at=cases.NOW)


def title(text):
    return re.search(r"<h1.*?<span>(.*?)</span></h1>", text, re.S).group(1)


def test_all_gates_pass(version):
    text = page(version, [evidence(version, gate) for gate in GATES])
    assert title(text) == f"loans v2 passes: {ALL} of {ALL} gates hold."
    assert "What needs attention" not in text


def test_a_failure_comes_first(version):
    text = page(version, [evidence(version, gate, 1.0 if gate == "parity" else 0.0) for gate in GATES])
    assert title(text) == f"loans v2 fails: parity does not hold, of {ALL} gates."
    assert text.index("parity says so.") < text.index("data_contract says so.")


def test_a_failure_is_shown_though_the_gate_was_asked_again_and_passed(version):
    again = replace(evidence(version, "parity"), at=cases.NOW + timedelta(hours=1))
    text = page(version, [*(evidence(version, gate, 1.0 if gate == "parity" else 0.0) for gate in GATES), again])
    assert title(text) == f"loans v2 fails: parity does not hold, of {ALL} gates."
    assert "What needs attention" in text
    assert '<a href="#parity">✕ parity</a>' in text


def test_what_could_not_be_measured_is_no_pass(version):
    text = page(version, [evidence(version, gate, None if gate == "load" else 0.0) for gate in GATES])
    assert title(text) == f"loans v2 cannot be judged yet: load could not be measured, of {ALL} gates."


def test_a_gate_that_was_not_asked_is_named(version):
    text = page(version, [evidence(version, gate) for gate in GATES if gate != "load"])
    assert "The gate load has not been run yet." in text
    assert title(text) == f"loans v2 cannot be judged yet: load is not run yet, of {ALL} gates."


def test_nothing_comes_from_elsewhere_and_nothing_runs(version):
    spec = {
        "data": {"values": [{"a": EVIL, "b": 1}]},
        "mark": "bar",
        "encoding": {"y": {"field": "a", "type": "nominal"}, "x": {"field": "b", "type": "quantitative"}},
    }
    tables = (Table(title=EVIL, columns=(EVIL,), rows=((EVIL,),)),)
    found = evidence(version, "holdout", notes=(EVIL,), figures=(Figure(title=EVIL, spec=spec),), tables=tables)
    text = page(version, [found])
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!#)', text)


def test_it_is_put_in_place_at_once(version, tmp_path):
    path = write_report(
        tmp_path / "reports" / "r.html", version=version, contract=models.contract(), evidence=[], at=cases.NOW
    )
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["r.html"]


def test_a_picture_has_one_name_and_its_parts_none(version):
    points = {"values": [{"a": "x", "b": 1}, {"a": "y", "b": 2}]}
    encoding = {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}}
    figure = Figure(title="two bars", spec={"data": points, "mark": "bar", "encoding": encoding})
    text = page(version, [evidence(version, "parity", figures=(figure,))])
    assert text.count("<svg") == text.count('<svg role="img" aria-label="two bars"') == 1
    assert "graphics-" not in text
    assert "aria-roledescription" not in text
    assert text.count("<path") > 2, "the bars are still there"


def test_a_gate_that_passed_is_folded_and_one_that_did_not_is_open(version):
    text = page(version, [evidence(version, gate, 1.0 if gate == "parity" else 0.0) for gate in GATES])
    assert text.count('<details class="gate" open>') == 1
    assert text.count('<details class="gate">') == ALL - 1
    assert text.index('<details class="gate" open>') < text.index('<details class="gate">')
