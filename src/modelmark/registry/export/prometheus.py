"""What a team's own Prometheus and Grafana are told: alerts whose limits are the contracts', and a dashboard per model.

Source: Prometheus' recording and alerting rules (2.42), its configuration's `scrape_configs`, and Grafana's dashboard JSON
(schema version 39).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from modelmark.domain.catalogue.monitor_settings import response_to
from modelmark.domain.contract import Contract
from modelmark.domain.errors import OF_THE_SERVER

#: Fewer requests in the window than this say nothing of the slow ones.
ENOUGH: Final = 100
WINDOW: Final = "10m"
#: Share of requests that may be answered by a fallback.
FALLBACK: Final = 0.05
#: Share of requests that may end in an error of the server.
ERRORS: Final = 0.01
#: The monitor whose alerts these are, too.
_SERVICE: Final = "service"
_PROVIDED: Final = "/var/lib/grafana/dashboards/modelmark"
_OURS: Final = f'code=~"{"|".join(sorted(OF_THE_SERVER))}"'


def files(contracts: Mapping[str, Contract], target: str) -> dict[str, bytes]:
    """contracts: of what serves, by model. target: HOST:PORT of the endpoint."""
    groups = [_endpoint(), *(_model(model, agreed) for model, agreed in sorted(contracts.items()))]
    scrape = {"job_name": "modelmark", "metrics_path": "/metrics", "static_configs": [{"targets": [target]}]}
    config = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["modelmark.rules.yml"],
        "scrape_configs": [scrape],
    }
    found = {
        "modelmark.rules.yml": yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True),
        "prometheus.yml": yaml.safe_dump(config, sort_keys=False),
        "README.md": _readme(sorted(contracts), target),
    }
    for name, dashboard in dashboards(contracts).items():
        found[f"grafana/{name}"] = dashboard
    return {name: text.encode() for name, text in found.items()}


def grafana_files(contracts: Mapping[str, Contract]) -> dict[str, bytes]:
    """The dashboards alone, for a Grafana whose Prometheus has the endpoint already, and what provisions them."""
    provider = {
        "apiVersion": 1,
        "providers": [{"name": "modelmark", "folder": "Modelmark", "type": "file", "options": {"path": _PROVIDED}}],
    }
    found = {
        **{f"dashboards/{name}": text for name, text in dashboards(contracts).items()},
        "provisioning/modelmark.yml": yaml.safe_dump(provider, sort_keys=False),
        "README.md": _GRAFANA,
    }
    return {name: text.encode() for name, text in found.items()}


def dashboards(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """By file name, one a model."""
    return {
        f"{model}.json": json.dumps(_dashboard(model, agreed), indent=1) for model, agreed in sorted(contracts.items())
    }


def _alert(name: str, expr: str, wait: str, severity: str, summary: str, **labels: str) -> dict[str, Any]:
    return {
        "alert": name, "expr": expr, "for": wait, "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }  # fmt: skip


def _errors(window: str) -> str:
    """The share of requests that end in an error of the server. Where nobody was answered at all there is no series of answers,
    and where nothing failed none of errors: both count as none."""
    failed = f"(sum(rate(modelmark_errors_total{{{_OURS}}}{window})) or vector(0))"
    return f"{failed} / ((sum(rate(modelmark_requests_total{window})) or vector(0)) + {failed})"


def _endpoint() -> dict[str, Any]:
    return {
        "name": "modelmark",
        "rules": [
            _alert("ModelmarkDown", 'up{job="modelmark"} == 0', "1m", "page", "The endpoint does not answer."),
            _alert("ModelmarkNotReady", "modelmark_ready == 0", "1m", "page", "No worker is ready; /v2/health/ready says why."),
            _alert(
                "ModelmarkUnbelieved", "modelmark_unbelieved > 0", "1m", "page",
                "A key, snapshot or version on disk is not what was signed; what served, serves on. modelmark verify names it.",
            ),
            _alert(
                "ModelmarkUnwatched", "modelmark_steward_seconds > 120", "2m", "page",
                "The steward has not stepped for two minutes: nothing is watched, compacted or told.",
            ),
            _alert(
                "ModelmarkErrors",
                f"{_errors(f'[{WINDOW}]')} > {ERRORS:g}",
                "2m", "page", f"More than {ERRORS:.0%} of requests end in an error of the server.",
            ),
        ],
    }  # fmt: skip


def _answered(rule: dict[str, Any], agreed: Contract) -> dict[str, Any]:
    """With who answers for the service's alerts, as the contract says."""
    response = response_to(agreed.monitors, _SERVICE)
    if response.owner is not None:
        rule["labels"]["owner"] = response.owner.value
    if response.runbook is not None:
        rule["annotations"]["runbook_url"] = response.runbook
    return rule


def _model(model: str, agreed: Contract) -> dict[str, Any]:
    which = f'model="{model}"'
    latency = agreed.serving.p99_ms / 1000
    requests = f"sum(increase(modelmark_requests_total{{{which}}}[{WINDOW}]))"
    slow = f"histogram_quantile(0.99, sum by (le) (rate(modelmark_request_seconds_bucket{{{which}}}[{WINDOW}])))"
    fallback = f"sum(increase(modelmark_fallback_total{{{which}}}[{WINDOW}])) / {requests}"
    rules = [
        _alert(
            "ModelmarkSlow", f"{slow} > {latency:g} and {requests} >= {ENOUGH}", "5m", "ticket",
            f"1 of 100 answers of {model} takes longer than the {agreed.serving.p99_ms:g} ms agreed (serving.p99_ms).",
            model=model,
        ),
        _alert(
            "ModelmarkFallback", f"{fallback} > {FALLBACK:g} and {requests} >= {ENOUGH}", "5m", "page",
            f"More than {FALLBACK:.0%} of requests to {model} are answered by its fallback.", model=model,
        ),
        _alert(
            "ModelmarkBusy",
            f"sum(rate(modelmark_requests_total{{{which}}}[{WINDOW}])) > {agreed.serving.rate_per_s:g}", WINDOW, "ticket",
            f"{model} is asked more often than the {agreed.serving.rate_per_s:g} a second agreed (serving.rate_per_s).",
            model=model,
        ),
        _alert(
            "ModelmarkSilent",
            f"sum(increase(modelmark_requests_total{{{which}}}[1h])) == 0 and "
            f"sum(increase(modelmark_requests_total{{{which}}}[1h] offset 1d)) > {ENOUGH}",
            "5m", "ticket", f"Nobody has asked {model} for an hour; at this time yesterday somebody did.", model=model,
        ),
    ]  # fmt: skip
    return {"name": f"modelmark-{model}", "rules": [_answered(rule, agreed) for rule in rules]}


def _dashboard(model: str, agreed: Contract) -> dict[str, Any]:
    panels = list(_panels(model, agreed))
    return {
        "uid": f"modelmark-{model}"[:40],
        "title": f"Modelmark: {model}",
        "description": agreed.purpose,
        "tags": ["modelmark"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
        },
        "panels": [
            {**panel, "id": n + 1, "gridPos": {"h": 8, "w": 12, "x": 12 * (n % 2), "y": 8 * (n // 2)}}
            for n, panel in enumerate(panels)
        ],
    }


def _panels(model: str, agreed: Contract) -> Iterator[dict[str, Any]]:
    which = f'model="{model}"'
    rate = "[$__rate_interval]"
    yield _panel(
        "Requests by version and what answered", "reqps",
        [(f"sum by (version, served_by) (rate(modelmark_requests_total{{{which}}}{rate}))", "{{version}} {{served_by}}")],
        limit=agreed.serving.rate_per_s,
    )  # fmt: skip
    quantile = f"sum by (le, version) (rate(modelmark_request_seconds_bucket{{{which}}}{rate}))"
    yield _panel(
        "Latency", "s",
        [(f"histogram_quantile({q}, {quantile})", f"{{{{version}}}} {name}") for q, name in ((0.5, "half"), (0.99, "99 of 100"))],
        limit=agreed.serving.p99_ms / 1000,
    )  # fmt: skip
    yield _panel(
        "Answered by a fallback",
        "reqps",
        [(f"sum by (reason) (rate(modelmark_fallback_total{{{which}}}{rate}))", "{{reason}}")],
    )
    yield _panel("Errors, all models", "reqps", [(f"sum by (code) (rate(modelmark_errors_total{rate}))", "{{code}}")])
    yield _panel(
        "Share of requests that end in an error of the server, all models", "percentunit", [(_errors(rate), "errors")],
        limit=ERRORS,
    )  # fmt: skip
    yield _panel(
        "Ready workers, and those that have the version", "short",
        [("modelmark_ready", "ready"), (f"sum by (version) (modelmark_version_loaded{{{which}}})", "{{version}}")],
    )  # fmt: skip
    yield _panel("Seconds since the steward's last step", "s", [("modelmark_steward_seconds", "steward")], limit=120)
    yield _panel("Labels taken in, all models", "ops", [(f"sum(rate(modelmark_labels_total{rate}))", "labels")])
    yield _panel(
        "Waiting, and connections",
        "short",
        [("modelmark_queue_requests", "waiting"), ("modelmark_connections", "connections")],
    )


def _panel(title: str, unit: str, series: list[tuple[str, str]], *, limit: float | None = None) -> dict[str, Any]:
    """limit: what was agreed, as a line."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    targets = [
        {"refId": chr(65 + n), "datasource": source, "expr": expr, "legendFormat": legend}
        for n, (expr, legend) in enumerate(series)
    ]
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {}
    if limit is not None:
        steps.append({"color": "red", "value": limit})
        custom = {"thresholdsStyle": {"mode": "line"}}
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom}
    return {
        "type": "timeseries", "title": title, "datasource": source, "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": {"legend": {"displayMode": "list"}},
    }  # fmt: skip


_GRAFANA: Final = f"""# Modelmark in Grafana

`dashboards/*.json`: import each and choose your Prometheus. Or provision them: put the files into `{_PROVIDED}` and
`provisioning/modelmark.yml` into Grafana's `provisioning/dashboards`.

The lines on panels are what the contracts that serve now agreed to, so export again after a release. Prometheus itself is told
what to scrape and when to alert by `modelmark export --to prometheus -o prometheus`.
"""


def _readme(models: list[str], target: str) -> str:
    return f"""# Modelmark in Prometheus and Grafana

`modelmark.rules.yml` holds the alerts of the endpoint and of {", ".join(models)}; its limits are those of the contracts
that serve now, so export again after a release.
`prometheus.yml` scrapes {target}: take its job into your own file, or try it as it is:

    promtool check rules modelmark.rules.yml
    prometheus --config.file=prometheus.yml

`grafana/*.json`: import each as a dashboard and choose your Prometheus.

What needs labels or training data (drift, live performance, fairness) is watched by the steward, which tells of it by itself.
"""
