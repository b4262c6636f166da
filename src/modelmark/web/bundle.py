"""The Vega JavaScript, built once from an installed wheel and kept in the workspace: no CDN."""

from __future__ import annotations

import os
from pathlib import Path


def vega_version() -> str:
    """Of the wheel that the bundle is built from."""
    from importlib.metadata import version

    return version("vl-convert-python")


def vega_bundle(cache: Path) -> Path:
    """The file to serve. The name carries the wheel's version, so an upgrade builds anew (about 2 s)."""
    import vl_convert

    path = cache / f"vega-{vega_version()}.js"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        snippet = "window.vegaEmbed = vegaEmbed; window.vega = vega;"
        scratch.write_text(vl_convert.javascript_bundle(snippet), encoding="utf-8")
        scratch.replace(path)
    return path
