"""Style, script and pictures: each under an address that its bytes decide, so that a browser keeps it for good."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from modelmark.domain.errors import Missing
from modelmark.web.bundle import vega_bundle, vega_version

_TYPES: Final[Mapping[str, str]] = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "vega.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass
class _Asset:
    """read: its bytes. version: what its address says of them, where they are too dear to read for that."""

    read: Callable[[], bytes]
    given: str | None = None

    @cached_property
    def data(self) -> bytes:
        return self.read()

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.data, 6, mtime=0)

    @cached_property
    def version(self) -> str:
        return self.given or hashlib.sha256(self.data).hexdigest()[:12]


class Assets:
    """Everything under /static, in memory from its first use on."""

    def __init__(self, cache: Path) -> None:
        """cache: a folder for what is built once."""
        folder = resources.files("modelmark.web") / "static"
        self._known = {name: _Asset((folder / name).read_bytes) for name in _TYPES if name != "vega.js"}
        self._known["vega.js"] = _Asset(lambda: vega_bundle(cache).read_bytes(), vega_version())

    def address(self, name: str) -> str:
        return f"/static/{name}?v={self._known[name].version}"

    async def serve(self, request: Request) -> Response:
        """Raises Missing. What is asked for under an earlier address is given as it is now, and kept by nobody."""
        name = request.path_params["name"]
        asset = self._known.get(name)
        if asset is None:
            raise Missing("there is no such file", code="NO_FILE", field="name", limit=", ".join(_TYPES))
        packed = "gzip" in request.headers.get("accept-encoding", "")
        data = await run_in_threadpool(lambda: asset.packed if packed else asset.data)
        current = request.query_params.get("v") == asset.version
        headers = {"cache-control": _FOR_GOOD if current else "no-cache", "vary": "accept-encoding"}
        return Response(
            data, media_type=_TYPES[name], headers=headers | ({"content-encoding": "gzip"} if packed else {})
        )
