"""The model of a child's folder, whatever it is: an object that somebody saved, or code of its author. Runs in the child only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

from modelmark.domain.version import BESIDE
from modelmark.registry import unpickle
from modelmark.registry.original import author
from modelmark.registry.original.adapted import Adapted
from modelmark.registry.original.own_code import holds_code, modules_in, names_in
from modelmark.registry.unpickle import Saved


def own_modules(request: Mapping[str, Any], folder: Path = Path()) -> Collection[str]:
    """Names under which what came with the model can be imported; nothing is read but the names of files."""
    return modules_in(names_in(folder / BESIDE)) if request.get("main") else ()


def of_file(source: str | IO[bytes], request: Mapping[str, Any]) -> Saved:
    """Of a lone file. Raises Refusal."""
    saved = unpickle.load(source)
    if isinstance(saved.model, Adapted):
        saved.model.bind(request)
    return saved


def opened(request: Mapping[str, Any], folder: Path = Path()) -> Saved:
    """request: as `convert.request_of` makes it, and `main`: the model's file among those that came, empty for a lone file.

    Raises Refusal.
    """
    main, beside = str(request.get("main") or ""), folder / BESIDE
    if not main:
        return of_file(str(folder / "source.bin"), request)
    is_code = holds_code((beside / main).read_bytes())
    modules = author.make_importable(beside) if is_code or len(names_in(beside)) > 1 else frozenset[str]()
    if is_code:
        return Saved(model=author.load(main, request), taken="", written_by=())
    return unpickle.load(str(beside / main), modules)
