"""What the extensions of the Open Inference Protocol tell of models: which there are, what was counted, how they are described
to Triton's tools. Nothing here changes what serves: that is an act of governance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelmark.domain.errors import NotPermitted
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.metrics import Sample, key
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import oip_tensors

READY: Final = "READY"
UNAVAILABLE: Final = "UNAVAILABLE"


def index(runtime: Runtime, *, ready: bool = False) -> list[dict[str, Any]]:
    """Every version that takes traffic, and models of which none could be loaded. ready: only what answers."""
    able = runtime.ready()[0]
    found = [
        {"name": route.model, "version": version.label, **_state(version, able=able)}
        for route in runtime.routes.values()
        for version in dict.fromkeys(arm.version for arm in route.arms)
    ]
    reason = "no released version could be loaded"
    found += [{"name": name, "state": UNAVAILABLE, "reason": reason} for name in runtime.health.unserved]
    return [one for one in found if one["state"] == READY] if ready else found


def _state(version: LoadedModel, *, able: bool) -> dict[str, str]:
    if able and version.proven:
        return {"state": READY, "reason": ""}
    return {"state": UNAVAILABLE, "reason": "this worker is not ready" if not able else version.waiting}


def refuse_change() -> NotPermitted:
    """To whoever asks to load or unload a model."""
    return NotPermitted(
        "what serves is decided by releases, which are acts of governance: nothing is loaded or unloaded over the network",
        code="RELEASED_ELSEWHERE",
        limit="modelmark release, rollback",
        hint="ask whoever may release this model",
    )


def statistics(runtime: Runtime, chosen: Iterable[tuple[LiveRoute, LoadedModel]]) -> list[dict[str, Any]]:
    """By version, what all workers counted since the server began: rows, and requests with the time from the last byte of
    each to its answer. What is not counted apart (queue, compute, failures) is left out, not called zero."""
    counted = runtime.metrics.together()
    return [_statistics(counted, route.model, version.label) for route, version in chosen]


def everything(runtime: Runtime) -> list[tuple[LiveRoute, LoadedModel]]:
    """Every version that takes traffic."""
    routes = runtime.routes.values()
    return [(route, version) for route in routes for version in dict.fromkeys(arm.version for arm in route.arms)]


def of_model(route: LiveRoute) -> list[tuple[LiveRoute, LoadedModel]]:
    return [(route, version) for version in dict.fromkeys(arm.version for arm in route.arms)]


def _statistics(counted: Sample, model: str, version: str) -> dict[str, Any]:
    def total(name: str) -> int:
        series = (key(name, model=model, version=version, served_by=str(by)) for by in ServedBy)
        return int(sum(counted.counters.get(one, 0.0) for one in series))

    cells = counted.histograms.get(key("modelmark_request_seconds", model=model, version=version), [0.0])
    return {
        "name": model,
        "version": version,
        "inference_count": total("modelmark_rows_total"),
        "inference_stats": {"success": {"count": total("modelmark_requests_total"), "ns": int(1e9 * cells[-1])}},
    }


def config(route: LiveRoute, version: LoadedModel) -> dict[str, Any]:
    """A version as Triton's configuration: the rows are the batch, so no shape names them."""
    about = oip_tensors.metadata(route, version)
    return {
        "name": route.model,
        "platform": about["platform"],
        "backend": oip_tensors.NAME,
        "max_batch_size": version.contract.serving.max_rows,
        "input": [{**_tensor(one), "dims": one["shape"][1:]} for one in about["inputs"]],
        "output": [_output(one) for one in about["outputs"]],
    }


def _output(tensor: dict[str, Any]) -> dict[str, Any]:
    """One number a row has no shape of its own, which the configuration says as a reshape."""
    alone: dict[str, Any] = {"dims": [1], "reshape": {"shape": []}}
    return {**_tensor(tensor), **(alone if len(tensor["shape"]) == 1 else {"dims": tensor["shape"][1:]})}


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{kind}"}
