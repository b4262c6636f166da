"""What Triton adds to the Open Inference Protocol and is spoken here, as messages. The rules are those of `wire.oip_repository`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import oip_repository, oip_tensors

Call = tuple[Callable[[], Any], Callable[[Runtime, Any], Any]]


def index(runtime: Runtime, message: Any) -> Any:
    """Raises NotYet before a release has been read."""
    runtime.require_release()
    return pb.RepositoryIndexResponse(models=oip_repository.index(runtime, ready=message.ready))


def change(runtime: Runtime, message: Any) -> Any:
    """Raises NotPermitted, of an unknown model Missing."""
    runtime.route(message.model_name)
    raise oip_repository.refuse_change()


def config(runtime: Runtime, message: Any) -> Any:
    """Raises Missing."""
    route = runtime.route(message.name)
    told = oip_repository.config(route, route.arms[_arm(route, message.version)].version)
    return pb.ModelConfigResponse(config=pb.ModelConfig(**told))


def statistics(runtime: Runtime, message: Any) -> Any:
    """Of all models where none is named. Raises Missing."""
    chosen = oip_repository.everything(runtime)
    if message.name:
        route = runtime.route(message.name)
        whole = oip_repository.of_model(route)
        chosen = whole if not message.version else [(route, route.arms[_arm(route, message.version)].version)]
    return pb.ModelStatisticsResponse(model_stats=oip_repository.statistics(runtime, chosen))


def _arm(route: LiveRoute, version: str) -> int:
    return oip_tensors.arm_named(route, version) if version else 0


CALLS: Final[Mapping[str, Call]] = {
    "RepositoryIndex": (pb.RepositoryIndexRequest, index),
    "RepositoryModelLoad": (pb.RepositoryModelLoadRequest, change),
    "RepositoryModelUnload": (pb.RepositoryModelUnloadRequest, change),
    "ModelConfig": (pb.ModelConfigRequest, config),
    "ModelStatistics": (pb.ModelStatisticsRequest, statistics),
}
