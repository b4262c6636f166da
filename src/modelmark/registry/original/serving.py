"""A trained object that answers as itself: `python -P -m modelmark.registry.original.serving SOCKET [FOLDER]`, started by a worker.

Where its author's code belongs to it, its files lie in the folder. The same walls as conversion's, before the first byte of
the object is looked at. It speaks `sandbox.frames` and ends with whoever started it. Where the kernel filters no system calls
nothing is opened.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelmark.domain.version import ASKED, SAVED
from modelmark.registry import answers, estimators, libraries, namespaces, sandbox_child, seccomp, syscalls, unpickle
from modelmark.registry.original import network, opening
from modelmark.registry.original.served import matrix_of, table_of
from modelmark.registry.refusal import Refusal
from modelmark.sandbox import frames
from modelmark.sandbox.frames import Build, Run, Told
from modelmark.sandbox.parent import end_with_parent

if TYPE_CHECKING:
    import numpy as np

#: What an object may take on top of what its libraries need, in bytes.
MEMORY: Final = 4 << 30

Answer = Callable[[Run], "np.ndarray"]


def main() -> None:
    end = int(sys.argv[1])
    sys.dont_write_bytecode = True  # its walls end whoever tries
    namespaces.no_new_privileges()
    statm = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else -1
    namespaces.enter()
    end_with_parent()
    seccomp.install(syscalls.LOADING)
    try:
        build = msgspec.msgpack.decode(frames.read(end), type=Build)
    except ConnectionResetError:
        return
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    sent = dict(build.files)
    request: Mapping[str, Any] = json.loads((folder / ASKED).read_bytes() if folder else sent[ASKED])
    unpickle.warm_up(converters=False)
    libraries.warm_up(request["libraries"])
    network.warm_up(request["libraries"], exporting=False)
    _, filtered = sandbox_child.arm(
        folder=sys.argv[2] if folder else None,
        memory_bytes=MEMORY,
        cpu_seconds=None,
        file_bytes=1 << 20,
        statm=statm,
        report=2,
        native=request["libraries"],
        modules=opening.own_modules(request, folder) if folder else (),
    )
    if sys.platform == "linux" and not filtered:
        frames.write(end, Told([], b"", "this kernel filters no system calls, so no model is opened here (NO_SANDBOX)"))
        return
    try:
        saved = opening.opened(request, folder) if folder else opening.of_file(io.BytesIO(sent[SAVED]), request)
        answer = answering(saved.model, request, build.numeric, build.textual)
    except Exception as error:  # noqa: BLE001  # whatever an object raises
        frames.write(end, Told([], b"", _said(error)))
        return
    frames.write(end, Told([], b""))
    serve(end, answer)


def serve(end: int, answer: Answer) -> None:
    """Run after run, until the other end closes. An object that has used up its memory begins anew in another process."""
    while True:
        try:
            data = frames.read(end)
        except ConnectionResetError:
            return
        try:
            scores = answer(msgspec.msgpack.decode(data, type=Run))
            told = Told(list(scores.shape), scores.tobytes())
        except MemoryError:
            return
        except Exception as error:  # noqa: BLE001  # whatever an object raises
            told = Told([], b"", _said(error))
        frames.write(end, told)


def answering(whole: Any, request: Mapping[str, Any], numeric: Sequence[str], textual: Sequence[str]) -> Answer:
    """The object as what answers rows. request: what it is asked with, as at registration. Raises Refusal."""
    import numpy as np

    model = estimators.unwrap(whole)
    estimators.check(model, request)

    form = table_of if estimators.takes_names(model) else matrix_of

    def answer(run: Run) -> np.ndarray:
        numbers = np.frombuffer(run.numbers, "<f8").reshape(run.rows, len(numeric))
        table = form(numbers, run.texts, numeric, textual, request)
        return np.ascontiguousarray(estimators.scores_of(model, table, request), "<f8")

    return answer


def _said(error: Exception) -> str:
    """In our words, never in those of an object: its texts reach no log."""
    if isinstance(error, Refusal) and error.reason in answers.REASONS:
        return answers.refusal(answers.Answer(reason=error.reason, kind=error.kind), frozenset()).message
    return f"the model raised {type(error).__name__ if type(error).__module__ == 'builtins' else 'an error'}"


if __name__ == "__main__":
    main()
