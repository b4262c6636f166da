"""The sandbox's child as a call in this process, for models that a test made itself.

The same request, the same verbs, the same files that the parent distrusts; no walls and no start of libraries. What is about
the walls, or about an artifact that could do harm, goes through the real child.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from unittest import mock

from modelmark.registry import convert_child, sandbox
from modelmark.registry.answers import Walls

WALLS = Walls(seccomp=True, landlock=1, left=["network", "processes", "/proc"])


def _called(
    verb: sandbox.Verb,
    folder: Path,
    limits: sandbox.Limits,
    before: Callable[[], Collection[str]],
    imports: Callable[[], Collection[str]],
) -> tuple[int, Walls, Collection[str]]:
    vocabulary = before()
    with contextlib.chdir(folder), imports_restored(), contextlib.ExitStack() as files:
        out = {name: files.enter_context(open(name, "wb")) for name in convert_child.OUTPUTS}
        request = json.loads(Path("request.json").read_bytes())
        facts, code = convert_child._work(verb, request, convert_child.tables_of(verb), out)
        out["result.json"].write(json.dumps(facts).encode())
    return code, WALLS, vocabulary


@contextlib.contextmanager
def imports_restored() -> Iterator[None]:
    """What came with a model goes with its child."""
    path = list(sys.path)
    try:
        yield
    finally:
        gone = set(sys.path) - set(path)
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if any(str(getattr(module, "__file__", None) or "").startswith(place) for place in gone):
                del sys.modules[name]


@contextlib.contextmanager
def sandbox_here() -> Iterator[None]:
    """Artifacts are read and converted in this process until the block ends."""
    with mock.patch.object(sandbox, "_spawn", _called):
        yield
