"""A folder that Ray Serve runs: what it is told, a deployment whose replicas keep a worker each, and the workspace they serve.

Source: Ray Serve's configuration file format (ray 2.60), `proxy_location`, `http_options` and `applications`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import yaml

MODULE: Final = "modelmark_on_ray"
PORT: Final = 8000
_DEPLOYMENT: Final = '''\
"""Serves the workspace beside this file on Ray Serve. Each replica keeps a worker of its own, which judges, guards and journals as
it would without Ray; what comes in over Ray's proxy is handed to it as it came."""

from contextlib import ExitStack
from pathlib import Path

import httpx2
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import running

#: Of one connection, not of what travels over it; and what Ray says itself.
HOP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
RAYS = {"date", "server", "x-request-id"}


@serve.deployment
class Endpoint:
    def __init__(self, workspace: str) -> None:
        self._stack = ExitStack()
        worker = self._stack.enter_context(running(Workspace(Path(workspace))))
        self._client = httpx2.AsyncClient(base_url=worker.address, timeout=60)

    async def __call__(self, request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in HOP}
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer = await self._client.request(
            request.method, target, content=await request.body(), headers={**headers, "accept-encoding": "identity"}
        )
        kept = {name: value for name, value in answer.headers.items() if name not in HOP | RAYS}
        return Response(answer.content, answer.status_code, kept)

    async def check_health(self) -> None:
        (await self._client.get("/v2/health/live")).raise_for_status()

    def __del__(self) -> None:
        self._stack.close()


def app(args: dict[str, str]) -> serve.Application:
    """workspace: where it lies on every node [default: beside this file]."""
    return Endpoint.bind(args.get("workspace") or str(Path(__file__).resolve().parent / "workspace"))
'''


def files(name: str, models: Sequence[str], requirements: bytes) -> Mapping[str, bytes]:
    """Everything but the workspace. name: of the application. requirements: what an image of the same needs."""
    return {
        "serve.yaml": yaml.safe_dump(_told(name), sort_keys=False).encode(),
        f"{MODULE}.py": _DEPLOYMENT.encode(),
        "requirements.txt": requirements + b"ray[serve]\n",
        "README.md": _about(name, models).encode(),
    }


def _told(name: str) -> dict[str, object]:
    scaling = {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 32}
    endpoint = {
        "name": "Endpoint", "autoscaling_config": scaling, "max_ongoing_requests": 256,
        "graceful_shutdown_timeout_s": 40, "ray_actor_options": {"num_cpus": 1},
    }  # fmt: skip
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": PORT},
        "applications": [
            {"name": name, "route_prefix": "/", "import_path": f"{MODULE}:app", "args": {}, "deployments": [endpoint]}
        ],
    }


def _about(name: str, models: Sequence[str]) -> str:
    return (
        f"# {name}\n\nServes {', '.join(models)}, as they were released, on Ray Serve.\n\n"
        "    pip install -r requirements.txt\n    serve run serve.yaml      # in this folder\n\n"
        "Every protocol over HTTP is answered at Ray's address as at a worker's own; gRPC is not passed on. Each replica keeps a "
        "worker and its journal in `workspace/journal` of its node: keep it, and hand its segments to whoever runs the steward. "
        "On several nodes lay this folder in the same place on each, or name another in `args: {workspace: …}`. `workspace/` holds "
        "no private key: to release, export anew. Ray Serve's proxy listens on this machine alone until `http_options` says "
        "otherwise; it has neither TLS nor keys, so put something in front that has both.\n"
    )
