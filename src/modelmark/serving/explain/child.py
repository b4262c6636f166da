"""The process that explains: `python -P -m modelmark.serving.explain.child SOCKET`, started by a worker, and ended with it.

It is the last to get a turn on the processor, verifies a version as a worker does, and keeps the last few.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from modelmark.contract.rows import Rows
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.predictions.explanations import Method
from modelmark.domain.workspace import Workspace
from modelmark.sandbox import frames
from modelmark.sandbox.parent import end_with_parent
from modelmark.seal.public import unpacked
from modelmark.serving.believed import Believed
from modelmark.serving.explain.asking import explained
from modelmark.serving.explain.messages import Ask, Told
from modelmark.serving.models import LoadedModel

#: The nicest there is: whatever answers predictions comes first.
NICE: Final = 19
KEPT: Final = 4


class _Versions:
    def __init__(self) -> None:
        self._loaded: OrderedDict[tuple[str, str], LoadedModel] = OrderedDict()

    def get(self, root: str, id: str, key: str) -> LoadedModel:
        found = self._loaded.pop((root, id), None)
        if found is None:
            found = Believed(Workspace(Path(root))).load(Digest(id), unpacked(key))[0]
        self._loaded[root, id] = found
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return found


def told(versions: _Versions, asked: Ask) -> Told:
    try:
        version = versions.get(asked.root, asked.version, asked.key)
        folder = Workspace(Path(asked.root)).version(version.id)
        found = explained(version, folder, Rows(1, asked.numbers, asked.texts), asked.scores, Method(asked.method))
    except ModelmarkError as error:
        return Told(error=error.facts(), kind=type(error).__name__)
    except Exception as error:  # noqa: BLE001  # whatever a model or an explainer raises
        return Told(error={"code": "INTERNAL", "message": f"no explanation: {type(error).__name__}"})
    return Told(msgspec.json.encode(found))


def main() -> None:
    end = int(sys.argv[1])
    os.nice(NICE)
    end_with_parent()
    versions = _Versions()
    while True:
        try:
            data = frames.read(end)
        except ConnectionResetError:
            return
        frames.write(end, told(versions, msgspec.msgpack.decode(data, type=Ask)))


if __name__ == "__main__":
    main()
