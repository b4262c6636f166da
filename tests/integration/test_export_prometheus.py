"""What Prometheus is told, held to by Prometheus itself: rules fire where they should and nowhere else; every series is there."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import serving_case as case
from modelmark import Client
from modelmark.app.usecases.export_release import ExportRelease, Form
from modelmark.domain.alerts.watching import watched_now
from modelmark.domain.catalogue.monitor_settings import AlertResponse, Monitors
from modelmark.domain.contract import Fallback, FallbackKind, Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.people import Role
from modelmark.seal import keys
from modelmark.serving.supervisor import running
from modelmark.storage.artifacts import FolderArtifactStore

needs_prometheus = pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus is not installed")


@pytest.fixture
def out(tmp_path: Path) -> tuple[case.Built, Path]:
    built = case.build(tmp_path / "w", case.contract())
    case.release(built)
    verifier = keys.verifier(built.workspace.keys)
    store = FolderArtifactStore(built.workspace)
    found = ExportRelease(workspace=built.workspace, artifacts=store, verifier=lambda: verifier)(
        tmp_path / "out", Form.PROMETHEUS
    )
    assert found.models == {"churn": ("v1",)}
    return built, tmp_path / "out"


def _exported(built: case.Built, out: Path, form: Form) -> Path:
    verifier = keys.verifier(built.workspace.keys)
    store = FolderArtifactStore(built.workspace)
    ExportRelease(workspace=built.workspace, artifacts=store, verifier=lambda: verifier)(out, form)
    return out


def promtool(folder: Path, *words: str) -> str:
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


REQUESTS = 'modelmark_requests_total{model="churn",version="v1",served_by="model"}'
SLOW = 'modelmark_request_seconds_bucket{model="churn",version="v1",le="%s"}'
CALM = {REQUESTS: "0+60x300", SLOW % "0.0005": "0+60x300", SLOW % "+Inf": "0+60x300", 'up{job="modelmark"}': "1x300"}
#: alert -> what is other than on a calm day: 60 requests a minute, a tenth of what was agreed or less, all quick.
FAULTS: dict[str, dict[str, str]] = {
    "ModelmarkDown": {'up{job="modelmark"}': "0x300"},
    "ModelmarkNotReady": {"modelmark_ready": "0x300"},
    "ModelmarkUnbelieved": {"modelmark_unbelieved": "1x300"},
    "ModelmarkUnwatched": {"modelmark_steward_seconds": "0+60x300"},
    "ModelmarkErrors": {'modelmark_errors_total{status="503",code="JOURNAL_FAILED"}': "0+2x300"},
    "ModelmarkSlow": {SLOW % "0.0005": "0+1x300", SLOW % "2.5": "0+60x300"},
    "ModelmarkFallback": {'modelmark_fallback_total{model="churn",reason="deadline"}': "0+6x300"},
    "ModelmarkBusy": {REQUESTS: "0+60000x300", SLOW % "0.0005": "0+60000x300", SLOW % "+Inf": "0+60000x300"},
}
#: Of the caller's making, or too little to say anything.
QUIET: dict[str, dict[str, str]] = {
    "nothing is wrong": {},
    "callers err": {'modelmark_errors_total{status="422",code="OUT_OF_RANGE"}': "0+50x300"},
    "few requests, and slow": {
        REQUESTS: "0+1x300", SLOW % "0.0005": "0+0x300", SLOW % "2.5": "0+1x300", SLOW % "+Inf": "0+1x300",
    },
}  # fmt: skip


@needs_prometheus
def test_each_alert_fires_on_its_fault_and_on_no_other(out: tuple[case.Built, Path]) -> None:
    _, folder = out
    assert "SUCCESS" in promtool(folder, "check", "rules", "modelmark.rules.yml")
    promtool(folder, "check", "config", "prometheus.yml")
    rules = yaml.safe_load((folder / "modelmark.rules.yml").read_text())
    known = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}
    assert set(known) == {*FAULTS, "ModelmarkSilent"}
    tests = []
    for name, changes in {**FAULTS, **QUIET}.items():
        series = [{"series": s, "values": v} for s, v in {**CALM, **changes}.items()]
        expected = [
            {"eval_time": "2h", "alertname": alert, "exp_alerts": _told(rule, changes) if alert == name else []}
            for alert, rule in known.items()
        ]
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": expected, "name": name})
    failing = 'modelmark_errors_total{status="503",code="JOURNAL_FAILED"}'
    told = {"eval_time": "2h", "alertname": "ModelmarkErrors", "exp_alerts": _told(known["ModelmarkErrors"], {})}
    nothing_else = {
        "interval": "1m",
        "input_series": [{"series": failing, "values": "0+2x300"}],
        "alert_rule_test": [told],
    }
    tests.append({**nothing_else, "name": "nobody was ever answered"})
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["modelmark.rules.yml"], "tests": tests}))
    assert "SUCCESS" in promtool(folder, "test", "rules", "tests.yml")


def _told(rule: dict[str, Any], changes: dict[str, str]) -> list[dict[str, Any]]:
    labels = dict(rule["labels"])
    if rule["expr"].startswith("up"):
        labels["job"] = "modelmark"
    return [{"exp_labels": labels, "exp_annotations": rule["annotations"]}]


@needs_prometheus
def test_an_hour_without_anybody_is_told_where_there_was_somebody_yesterday(out: tuple[case.Built, Path]) -> None:
    _, folder = out
    rules = yaml.safe_load((folder / "modelmark.rules.yml").read_text())
    (rule,) = [r for group in rules["groups"] for r in group["rules"] if r["alert"] == "ModelmarkSilent"]
    test = {
        "interval": "5m", "input_series": [{"series": REQUESTS, "values": "0+300x290 87000x100"}],
        "alert_rule_test": [
            {"eval_time": "24h", "alertname": "ModelmarkSilent", "exp_alerts": []},
            {"eval_time": "26h", "alertname": "ModelmarkSilent", "exp_alerts": _told(rule, {})},
        ],
    }  # fmt: skip
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["modelmark.rules.yml"], "tests": [test]}))
    assert "SUCCESS" in promtool(folder, "test", "rules", "tests.yml")


#: A forecaster whose far answers its contract does not take, so that a fallback answers.
GUARDED = case.contract(
    task=Task.REGRESSION,
    outputs=Outputs(minimum=-1.0, maximum=100.0),
    fallback=(Fallback(kind=FallbackKind.CONSTANT, value=0.0),),
)
ANSWERED = AlertResponse(owner=Role.OPERATIONS, runbook="https://wiki.example/slow")


@needs_prometheus
def test_a_real_prometheus_scrapes_a_real_endpoint_and_every_query_answers(tmp_path: Path) -> None:
    """Every series, and every label, that a rule or a panel asks for is one that the endpoint has."""
    agreed = dataclasses.replace(GUARDED, monitors=Monitors(alerts={"service": ANSWERED}))
    built = case.build(tmp_path / "w", agreed, case.gradient_boosting(3, regression=True))
    case.release(built)
    folder = _exported(built, tmp_path / "out", Form.PROMETHEUS)
    alone = _exported(built, tmp_path / "alone", Form.GRAFANA)
    dashboard = json.loads((alone / "dashboards" / "churn.json").read_text())
    assert dashboard == json.loads((folder / "grafana" / "churn.json").read_text())
    rules = yaml.safe_load((folder / "modelmark.rules.yml").read_text())["groups"]
    of_model = [rule for group in rules if group["name"] == "modelmark-churn" for rule in group["rules"]]
    assert {(r["labels"]["owner"], r["annotations"]["runbook_url"]) for r in of_model} == {
        ("operations", ANSWERED.runbook)
    }
    promtool(folder, "check", "rules", "modelmark.rules.yml")
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    watched_now(built.workspace)  # as a steward does in every step
    with running(built.workspace) as there, Client(there.address) as client:
        answers = [client.predict("churn", [case.row(built)]) for _ in range(20)]
        client.predict("churn", [{**case.row(built), "f0": -50.0}])
        client.label("churn", [(answers[0].id, 0, 1.0)])
        with pytest.raises(Rejected):
            client.predict("churn", [{}])
        with urllib.request.urlopen(f"{there.address}/metrics", timeout=5) as answer:
            exposed = answer.read().decode()
        _run_prometheus(folder, tmp_path, there.address, expressions)
    known: dict[str, set[str]] = {}
    for sample in (s for family in text_string_to_metric_families(exposed) for s in family.samples):
        known.setdefault(sample.name, set()).update(sample.labels)
    asked = [*expressions, *(rule["expr"] for group in rules for rule in group["rules"])]
    for expression in asked:
        names = set(re.findall(r"modelmark_[a-z_]+", expression.replace('job="modelmark"', "")))
        assert names <= set(known), f"{names - set(known)} of {expression}"
        selected = {
            (name, label)
            for name, inside in re.findall(r"(modelmark_[a-z_]+)\{(.*?)\}", expression)
            for label in re.findall(r"([a-z_]+)=", inside)
        }
        assert {pair for pair in selected if pair[1] not in known[pair[0]]} == set(), expression
        grouped = re.findall(r"by \(([^)]*)\) \((?:rate\(|increase\()?(modelmark_[a-z_]+)", expression)
        assert len(grouped) == expression.count("by (")
        assert [pair for pair in grouped if not {*pair[0].split(", ")} <= known[pair[1]]] == [], expression


def _run_prometheus(folder: Path, tmp_path: Path, address: str, expressions: list[str]) -> None:
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [address.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: _asked(port, 'sum(modelmark_requests_total{model="churn"})') == ["21"])
        _until(lambda: set(_rules(port)) == {"ok"})
        time.sleep(0.5)  # two more scrapes, for rates
        for expression in expressions:
            found = _asked(
                port, expression.replace("$__rate_interval", "1m")
            )  # raises where Prometheus does not take it
            assert found, f"nothing to draw: {expression}"
        assert _asked(port, 'up{job="modelmark"}') == ["1"]
    finally:
        process.terminate()
        process.wait(20)


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=5) as answer:
        return json.load(answer)["data"]


def _asked(port: int, query: str) -> list[str]:
    return [one["value"][1] for one in _get(port, "query?" + urllib.parse.urlencode({"query": query}))["result"]]


def _rules(port: int) -> list[str]:
    return [rule["health"] for group in _get(port, "rules")["groups"] for rule in group["rules"]]


def _until(holds: Any) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            if holds():
                return
        except OSError:
            pass  # it is not up yet
        assert time.monotonic() < end
        time.sleep(0.1)
