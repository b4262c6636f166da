"""Bad versions and good ones, swapped under load: `python bench/swaps.py [--bad 100] [--good 50] [--requests 100000]`.

One worker answers callers over 8 connections without a pause. Versions that do not load, answer in another shape, answer NaN, or
take longer than the deadline are made champion one after the other, as no gate would let them, with the version before behind
them, and taken back; then two good ones are swapped until there were so many swaps and so many requests. The last line: answers
that were not 200, connections that broke, versions of which an answer named another's label, and what answered. 1 where one did.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from _scratch import scratch_folder

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import burning  # noqa: E402
import serving_case as case  # noqa: E402
from modelmark.domain.contract import Contract, Fallback, FallbackKind, Serving  # noqa: E402
from modelmark.serving.supervisor import Supervisor  # noqa: E402

CALLERS: Final = 8
#: A worker follows the snapshot within a second.
FOLLOWED: Final = 1.2
PATIENCE: Final = 20.0


def constant(value: float, width: int) -> bytes:
    """A graph of three numbers that always answers so many times the same."""
    from onnx import TensorProto, helper, numpy_helper

    f = TensorProto.FLOAT
    given = [numpy_helper.from_array(np.zeros((3, width), np.float32), "zeros")]
    given += [numpy_helper.from_array(np.full(width, value, np.float32), "value")]
    nodes = [
        helper.make_node("MatMul", ["X", "zeros"], ["none"]),
        helper.make_node("Add", ["none", "value"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes, "constant", [helper.make_tensor_value_info("X", f, [None, 3])],
        [helper.make_tensor_value_info("probabilities", f, [None, width])], given,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


#: What is wrong with a version: its bytes.
BAD: Final[Mapping[str, Callable[[], bytes]]] = {
    "does not load": lambda: b"no graph",
    "another shape": lambda: constant(0.2, 5),
    "NaN": lambda: constant(float("nan"), 2),
    "too slow": lambda: burning.graph(60_000),
}


class Caller(threading.Thread):
    """One connection, one request after the other."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self.stop = port, threading.Event()
        self.statuses, self.said, self.broken = Counter[int](), Counter[tuple[str, str]](), 0

    def run(self) -> None:
        body = json.dumps({"rows": [{"f0": 0.5, "f1": 0.1, "f2": -0.2}]})
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self.stop.is_set():
            try:
                link.request("POST", "/models/churn/predict", body, {"Content-Type": "application/json"})
                answer = link.getresponse()
                told = answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                link.close()
                continue
            self.statuses[answer.status] += 1
            if answer.status == 200:
                found = json.loads(told)
                self.said[str(found["served_by"]), str(found["version"])] += 1


class Load:
    def __init__(self, port: int) -> None:
        self.callers = [Caller(port) for _ in range(CALLERS)]
        for caller in self.callers:
            caller.start()

    def total(self, name: str) -> Counter[Any]:
        found = Counter[Any]()
        for caller in self.callers:
            found.update(dict(getattr(caller, name)))
        return found

    def until_said(self, label: str) -> bool:
        before, until = self._named(label), time.monotonic() + PATIENCE
        while self._named(label) <= before:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def _named(self, label: str) -> int:
        return sum(count for (_, version), count in self.total("said").items() if version == label)

    def end(self) -> None:
        for caller in self.callers:
            caller.stop.set()
        for caller in self.callers:
            caller.join()


def built(root: Path, contract: Contract) -> tuple[list[case.Built], dict[str, case.Built]]:
    good = [case.build(root, contract, number=number) for number in (1, 2)]
    bad = {name: case.build(root, contract, make(), number=3 + at) for at, (name, make) in enumerate(BAD.items())}
    return good, bad


def run(root: Path, bad_count: int, good_count: int, requests: int) -> dict[str, Any]:
    fallback = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=0))
    good, bad = built(root, case.contract(fallback=fallback, serving=Serving(deadline_ms=300)))
    sequence, missed = 1, 0
    case.release(good[0], sequence=sequence)
    supervisor = Supervisor(good[0].workspace, port=0, workers=1)
    supervisor.start()
    load = Load(supervisor.port)
    started = time.monotonic()
    try:
        load.until_said("v1")
        for name in [list(bad)[at % len(bad)] for at in range(bad_count)]:
            sequence += 2
            case.release(bad[name], previous=good[0], sequence=sequence - 1)
            time.sleep(FOLLOWED)
            case.release(good[0], sequence=sequence)
            missed += not load.until_said("v1")
        deployed = load.total("statuses").total()
        swaps = 0
        while swaps < good_count or load.total("statuses").total() < requests:
            sequence, swaps = sequence + 1, swaps + 1
            case.release(good[swaps % 2], previous=good[1 - swaps % 2], sequence=sequence)
            missed += not load.until_said(f"v{1 + swaps % 2}")
            time.sleep(0.2)
    finally:
        load.end()
        supervisor.stop()
    statuses = load.total("statuses")
    return {
        "bad": bad_count, "good": swaps, "requests": statuses.total(), "while_bad": deployed,
        "not_200": statuses.total() - statuses[200], "broken": sum(caller.broken for caller in load.callers),
        "not_followed": missed, "seconds": round(time.monotonic() - started),
        "answered_by": {f"{by} {version}": count for (by, version), count in sorted(load.total("said").items())},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bad", type=int, default=100)
    parser.add_argument("--good", type=int, default=50)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args(arguments)
    with scratch_folder() as scratch:
        found = run(Path(scratch), options.bad, options.good, options.requests)
    counted = ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in ("not_200", "broken", "not_followed"))
    meanwhile = f"{found['bad']} bad versions ({found['while_bad']:,} requests meanwhile)"
    print(f"{meanwhile} and {found['good']} good swaps, {found['requests']:,} requests: {counted}")
    print(json.dumps(found))
    return 1 if found["not_200"] or found["broken"] or found["not_followed"] else 0


if __name__ == "__main__":
    sys.exit(main())
