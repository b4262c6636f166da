"""Harmless hostile model files: each would leave a trace outside the sandbox, or use more than is granted. None may.

A case is a kind, a payload and a container. `Bystanders` is what they would act upon: a key, a process, a listener and a
folder. The bench in bench/sandbox.py runs all of them; the tests run a seeded part that covers every kind.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import resource
import socket
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
import onnx
from onnx import TensorProto, helper

import models
from modelmark.domain.contract import Outputs
from modelmark.domain.workspace import Workspace
from modelmark.registry.mlflow import Tracking
from modelmark.registry.register import Registration
from modelmark.storage.artifacts import FolderArtifactStore

SECRET = "c0ffee-private-key-of-the-house"


@dataclass(frozen=True, slots=True)
class Bystanders:
    """What a hostile file would act upon. marker: a folder that stays empty."""

    base: Path
    marker: Path
    key: Path
    pid: int
    port: int
    listener: socket.socket = field(repr=False)
    limits: tuple[int, int] = (0, 0)
    priority: int = 0

    def harmed(self) -> list[str]:
        """What happened to them, in words; empty when nothing did."""
        found = [f"wrote {path.name}" for path in self.marker.iterdir()]
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return [*found, "ended a process"]
        if os.getpriority(os.PRIO_PROCESS, self.pid) != self.priority:
            found.append("changed a priority")
        if resource.prlimit(self.pid, resource.RLIMIT_NOFILE) != self.limits:
            found.append("changed limits")
        if self.key.read_text() != SECRET:
            found.append("changed the key")
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return found
        return [*found, "connected"]


@contextmanager
def bystanders(base: Path):
    """A folder with tables and a contract's key in it, a sleeping process and a listening socket."""
    (base / "marker").mkdir()
    keys = base / ".modelmark" / "keys"
    keys.mkdir(parents=True)
    (keys / "mark.key").write_text(SECRET)
    models.write_tables(base, models.frame(60, 1), models.frame(40, 2))
    process = subprocess.Popen(["sleep", "600"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        try:
            yield Bystanders(
                base, base / "marker", keys / "mark.key", process.pid, listener.getsockname()[1], listener,
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, process.pid),
            )  # fmt: skip
        finally:
            process.kill()
            process.wait()


def registration(there: Bystanders) -> Registration:
    """What `register` needs; a hostile file never gets as far as MLflow."""
    workspace = Workspace(there.base / ".modelmark")
    return Registration(
        base=there.base, artifacts=FolderArtifactStore(workspace), tracking=Tracking(workspace=workspace),
        reference=lambda *_: b"{}", number=1, by="ada",
    )  # fmt: skip


def contract_of(name: str):
    return models.contract(names=models.NUMERIC, source=name, outputs=Outputs(classes=("no", "yes"), positive="yes"))


PID = object()  # stands for the process that sleeps
Payload = Callable[[Bystanders], "Raw"]


def made(module: str, name: str, *arguments) -> Payload:
    """A call of `module.name`, which need not exist here; "{marker}" and the like are filled in."""

    def make(there: Bystanders) -> Raw:
        places = {"marker": there.marker / "x", "key": there.key, "so": there.base / "evil.so", "beside": there.base}
        filled = [a.format(**places) if isinstance(a, str) else there.pid if a is PID else a for a in arguments]
        return Raw(module, name, filled)

    return make


class Raw:
    """Written by hand, so that no name is looked up while the file is made."""

    def __init__(self, module, name, arguments):
        self.module, self.name, self.arguments = module, name, arguments

    def stream(self, protocol: int) -> bytes:
        if protocol < 4:
            called = f"c{self.module}\n{self.name}\n".encode()
        else:
            called = b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (self.module, self.name)) + b"\x93"
        inner = b"".join(
            pickle.dumps(a, protocol=min(protocol, 2))[2 if protocol >= 2 else 0 : -1] for a in self.arguments
        )
        body = called + b"(" + inner + b"tR."
        return body if protocol < 2 else b"\x80" + bytes([protocol]) + body


PAYLOADS: dict[str, Payload] = {
    "a shell": made("os", "system", "touch {marker}"),
    "a shell by its other name": made("posix", "system", "touch {marker}"),
    "a process": made("subprocess", "check_output", ["touch", "x"]),
    "eval": made("builtins", "eval", "open('{marker}', 'w')"),
    "exec": made("builtins", "exec", "open('{marker}', 'w')"),
    "compile": made("builtins", "compile", "1", "{marker}", "exec"),
    "a file opened for writing": made("builtins", "open", "{marker}", "w"),
    "a file opened by io": made("_io", "FileIO", "{marker}", "w"),
    "a fork": made("os", "fork"),
    "a program": made("os", "execv", "/usr/bin/touch", ["touch", "x"]),
    "a signal": made("os", "kill", PID, 9),
    "a signal to a group": made("os", "killpg", PID, 9),
    "a signal to a thread": made("signal", "pthread_kill", PID, 9),
    "limits of another": made("resource", "prlimit", PID, 7, (64, 64)),
    "priority of another": made("os", "setpriority", 0, PID, 19),
    "a connection": made("socket", "create_connection", ("127.0.0.1", 9)),
    "a download": made("urllib.request", "urlopen", "http://127.0.0.1:9/"),
    "getattr": made("builtins", "getattr", 1, "real"),
    "attrgetter": made("operator", "attrgetter", "system"),
    "an import": made("importlib", "import_module", "antigravity"),
    "an import by hand": made("builtins", "__import__", "evil"),
    "a module run": made("runpy", "run_path", "{beside}/evil.py"),
    "a library by ctypes": made("ctypes", "CDLL", "{so}"),
    "a library by _ctypes": made("_ctypes", "dlopen", "{so}", 2),
    "a library by numpy": made("numpy.ctypeslib", "load_library", "evil", "{beside}"),
    "a library by cffi": made("_cffi_backend", "load_library", "{so}"),
    "a library by importlib": made("_imp", "create_dynamic", "{so}"),
    "a library by ONNX Runtime": made("onnxruntime.capi.onnxruntime_pybind11_state", "SessionOptions"),
    "a provider by ONNX Runtime": made("onnxruntime", "register_execution_provider_library", "evil", "{so}"),
    "flags of the loader": made("sys", "setdlopenflags", 257),
    "a preload for a grandchild": made("os", "putenv", "LD_PRELOAD", "{so}"),
    "a file by numpy": made("numpy", "save", "{marker}", 1),
    "numpy's own exec": made("numpy.testing._private.utils", "runstring", "open('{marker}','w')", {}),
    "numpy's load": made("numpy", "load", "{key}"),
    "a mapping by numpy": made("numpy", "memmap", "{marker}", "uint8", "w+", 0, (8,)),
    "a file by joblib": made("joblib", "dump", 1, "{marker}"),
    "joblib's load": made("joblib", "load", "{key}"),
    "joblib's old wrapper": made("joblib.numpy_pickle_compat", "NDArrayWrapper", "{key}", "x"),
    "pandas' pickles": made("pandas", "read_pickle", "{key}"),
    "pandas' eval": made("pandas", "eval", "1+1"),
    "scikit-learn's files": made("sklearn.datasets._base", "load_files", "/"),
    "a name with dots": made("sklearn.base", "os.system", "touch {marker}"),
    "what a module imported": made("sklearn.metrics._classification", "np"),
    "scipy's exec": made("scipy.stats._distn_infrastructure", "rv_continuous", "x"),
    "a function by value": made("cloudpickle.cloudpickle", "_make_function", 1),
    "code by marshal": made("marshal", "loads", b"c"),
    "a code object": made("types", "CodeType", 0),
    "the key as an error": made("builtins", "int", "{key}"),
    "the key read": made("pathlib", "Path.read_text", "{key}"),
    "an audit hook": made("sys", "addaudithook", 1),
    "somebody's own code": made("evil", "Model", 1),
    "our own house": made("modelmark.seal.signing", "load_key", "{key}"),
}

Container = Callable[[Raw], bytes]


def inside_array(raw: Raw) -> bytes:
    """A joblib file whose array of objects holds a pickle of its own, where scanners lose their way."""
    data = io.BytesIO()
    joblib.dump({"model": np.array([1, "two"], dtype=object), "weights": np.arange(3)}, data)
    whole, nested = data.getvalue(), pickle.dumps(np.array([1, "two"], dtype=object), protocol=5)
    assert nested in whole
    return whole.replace(nested, raw.stream(4))


def joined(raw: Raw) -> bytes:
    return pickle.dumps({"weights": 1}) + raw.stream(4)


CONTAINERS: dict[str, Container] = {
    "protocol 0": lambda raw: raw.stream(0),
    "protocol 2": lambda raw: raw.stream(2),
    "protocol 4": lambda raw: raw.stream(4),
    "protocol 5": lambda raw: raw.stream(5),
    "zlib": lambda raw: zlib.compress(raw.stream(4)),
    "gzip": lambda raw: gzip.compress(raw.stream(4)),
    "bzip2": lambda raw: bz2.compress(raw.stream(2)),
    "xz": lambda raw: lzma.compress(raw.stream(4)),
    "lzma": lambda raw: lzma.compress(raw.stream(4), lzma.FORMAT_ALONE),
    "an array of objects": inside_array,
    "behind another pickle": joined,
}


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    name: str
    file: str
    write: Callable[[Path, Bystanders], None]
    cheap: bool = True  # may run among the tests

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def _called(payload: str, container: str) -> Case:
    def write(path: Path, there: Bystanders) -> None:
        path.write_bytes(CONTAINERS[container](PAYLOADS[payload](there)))

    return Case("pickle", f"{payload} in {container}", "model.pkl", write)


def _bytes(kind: str, name: str, file: str, make: Callable[[Bystanders], bytes], *, cheap: bool = True) -> Case:
    return Case(kind, name, file, lambda path, there: path.write_bytes(make(there)) and None, cheap)


def _zeros(machine, size: int) -> bytes:
    block, out = bytes(1 << 20), []
    out = [machine.compress(block) for _ in range(size >> 20)]
    return b"".join([*out, machine.flush()])


def _archive(members: dict[str, bytes], *, link: bool = False) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if link:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _claims(shape: str) -> bytes:
    """An array of allowed names that says it is larger than any machine."""
    return f"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I{shape}\ntS'f8'\ntR.".encode()


def _claimed_wrapper(_: Bystanders) -> bytes:
    data = io.BytesIO()
    joblib.dump(np.arange(1 << 20, dtype=np.uint8), data)
    return data.getvalue().replace(struct.pack("<i", 1 << 20), struct.pack("<i", (1 << 31) - 1), 1)


def _laughs(_: Bystanders) -> bytes:
    """Lists of lists that double sixty times: small in memory, endless to walk."""
    return b"(lp0\n" + b"".join(b"0(g%d\ng%d\nlp%d\n" % (i, i, i + 1) for i in range(60)) + b"."


def _graph(nodes, *, initializers=(), inputs=None, **more) -> bytes:
    x = inputs or [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])]
    y = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", x, y, initializer=list(initializers), **more)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def _outside(name="w", where="../.modelmark/keys/mark.key") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=where)
    return tensor


def _with_model(change) -> Callable[[Bystanders], bytes]:
    def make(_: Bystanders) -> bytes:
        model = onnx.load_model_from_string(_graph([helper.make_node("Identity", ["X"], ["probabilities"])]))
        change(model)
        return model.SerializeToString()

    return make


def _loop(_: Bystanders) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []), helper.make_tensor_value_info("v2", TensorProto.FLOAT, None)],
    )  # fmt: skip
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return _graph([helper.make_node("Loop", ["", "yes", "X"], ["probabilities"], body=body)], initializers=[yes])


def _huge(_: Bystanders) -> bytes:
    size = helper.make_tensor("size", TensorProto.INT64, [2], [50_000_000_000, 2])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["much"]),
        helper.make_node("ReduceSum", ["much"], ["one"], keepdims=0),
        helper.make_node("Add", ["X", "one"], ["probabilities"]),
    ]
    return _graph(nodes, initializers=[size])


def _nested(_: Bystanders, depth: int = 150) -> bytes:
    attribute = b""
    for _level in range(depth):
        node = b"\x22\x02If" + b"\x2a" + _sized(attribute) if attribute else b"\x22\x08Identity"
        graph = b"\x0a" + _sized(node)
        attribute = b"\x32" + _sized(graph)
    node = b"\x22\x02If\x2a" + _sized(attribute)
    return b"\x08\x09\x3a" + _sized(b"\x0a" + _sized(node))


def _sized(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return out + bytes([size]) + data


IDENTITY = helper.make_node("Identity", ["X"], ["probabilities"])


def _constant(tensor: TensorProto):
    return [
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("Add", ["X", "w"], ["probabilities"]),
    ]


def _inner(tensor: TensorProto):
    branch = helper.make_graph(
        _constant(tensor)[:1], "b", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)]
    )
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", TensorProto.BOOL, [], [True]))
    return [yes, helper.make_node("If", ["yes"], ["probabilities"], then_branch=branch, else_branch=branch)]


def _in_function(model) -> None:
    function = model.functions.add(name="F", domain="own")
    function.node.extend(_constant(_outside())[:1])


def _in_training(model) -> None:
    model.training_info.add().algorithm.initializer.append(_outside())


def _in_sparse(model) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(_outside())


def _link(path: Path, there: Bystanders) -> None:
    path.symlink_to(there.key)


def _sparse_file(size: int, start: bytes) -> Callable[[Path, Bystanders], None]:
    def write(path: Path, there: Bystanders) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def _hardlinked_data(path: Path, there: Bystanders) -> None:
    os.link(there.key, path.parent / "weights.bin")
    path.write_bytes(_graph([IDENTITY], initializers=[_outside(where="weights.bin")]))


BOMBS = [
    _bytes("bomb", "gzip", "model.pkl", lambda _: _zeros(zlib.compressobj(1, zlib.DEFLATED, 31), 600 << 20)),
    _bytes("bomb", "zlib", "model.pkl", lambda _: _zeros(zlib.compressobj(1), 2 << 30), cheap=False),
    _bytes("bomb", "bzip2", "model.pkl", lambda _: _zeros(bz2.BZ2Compressor(9), 600 << 20), cheap=False),
    _bytes("bomb", "xz", "model.pkl", lambda _: _zeros(lzma.LZMACompressor(preset=0), 600 << 20), cheap=False),
    _bytes(
        "bomb",
        "lzma",
        "model.pkl",
        lambda _: _zeros(lzma.LZMACompressor(lzma.FORMAT_ALONE, preset=0), 600 << 20),
        cheap=False,
    ),
    _bytes("bomb", "zip", "model.pkl", lambda _: _archive({"a": bytes(64 << 20)})),
    _bytes("bomb", "npz", "model.pkl", lambda _: _archive({"arr_0.npy": b"\x93NUMPY" + bytes(64 << 20)})),
    _bytes("bomb", "skops", "model.pkl", lambda _: _archive({"schema.json": b"[" * 1_000_000})),
    Case(
        "bomb",
        "a pickle of 2 GB that is a hole",
        "model.pkl",
        _sparse_file(2 << 30, b"\x80\x04\x8e" + struct.pack("<Q", (2 << 30) - 12)),
    ),
    Case("bomb", "a file of 9 GB that is a hole", "model.pkl", _sparse_file(9 << 30, b"\x80\x04")),
    Case("bomb", "a graph of 9 GB that is a hole", "model.onnx", _sparse_file(9 << 30, b"\x08\x09")),
    _bytes("bomb", "an array that claims 100 GB", "model.pkl", lambda _: _claims("100000000000")),
    _bytes("bomb", "a raw array that claims 2 GB", "model.joblib", _claimed_wrapper),
    _bytes(
        "bomb",
        "bytes that claim an exabyte",
        "model.pkl",
        lambda _: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    ),
    _bytes(
        "bomb",
        "a number of a hundred million digits",
        "model.pkl",
        lambda _: b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + b"\xff" * (1 << 20) + b".",
    ),
    _bytes("bomb", "a memo at two billion", "model.pkl", lambda _: b"\x80\x04Nr\xff\xff\xff\x7f."),
    _bytes("bomb", "lists that double", "model.pkl", _laughs),
    _bytes("bomb", "a hundred thousand lists deep", "model.pkl", lambda _: b"]" * 100_000 + b"a" * 99_999 + b"."),
    _bytes("bomb", "a bytearray of 64 GB", "model.pkl", lambda _: b"cbuiltins\nbytearray\n(L68719476736L\ntR."),
    _bytes(
        "bomb",
        "a range that is listed",
        "model.pkl",
        lambda _: b"cbuiltins\nlist\n(cbuiltins\nrange\n(L99999999999L\ntRtR.",
    ),
]

GRAPHS = [
    _bytes(
        "graph",
        "a custom operator",
        "model.onnx",
        lambda _: _graph([helper.make_node("Run", ["X"], ["probabilities"], domain="evil")]),
    ),
    _bytes(
        "graph",
        "an execution provider's context",
        "model.onnx",
        lambda _: _graph(
            [
                helper.make_node(
                    "EPContext", ["X"], ["probabilities"], domain="com.microsoft", ep_cache_context="evil.so"
                )
            ]
        ),
    ),
    _bytes(
        "graph",
        "Python in an operator",
        "model.onnx",
        lambda _: _graph([helper.make_node("PyOp", ["X"], ["probabilities"], domain="ai.onnx.contrib", module="evil")]),
    ),
    _bytes(
        "graph",
        "an operator with a terminal's words",
        "model.onnx",
        lambda _: _graph([helper.make_node("R", ["X"], ["probabilities"], domain="\x1b[2Jevil")]),
    ),
    _bytes("graph", "data outside, initializer", "model.onnx", lambda _: _graph([IDENTITY], initializers=[_outside()])),
    _bytes(
        "graph",
        "data outside, absolute",
        "model.onnx",
        lambda there: _graph([IDENTITY], initializers=[_outside(where=str(there.key))]),
    ),
    _bytes("graph", "data outside, attribute", "model.onnx", lambda _: _graph(_constant(_outside()))),
    _bytes("graph", "data outside, subgraph", "model.onnx", lambda _: _graph(_inner(_outside()))),
    _bytes("graph", "data outside, function", "model.onnx", _with_model(_in_function)),
    _bytes("graph", "data outside, training", "model.onnx", _with_model(_in_training)),
    _bytes("graph", "data outside, sparse", "model.onnx", _with_model(_in_sparse)),
    Case("graph", "data outside, hard link", "model.onnx", _hardlinked_data),
    _bytes("graph", "an endless loop", "model.onnx", _loop),
    _bytes("graph", "a constant of 400 GB", "model.onnx", _huge),
    _bytes(
        "graph",
        "weights that claim 400 GB",
        "model.onnx",
        lambda _: _graph(
            [IDENTITY], initializers=[TensorProto(name="w", data_type=1, dims=[100_000_000_000], raw_data=b"1234")]
        ),
    ),
    _bytes("graph", "subgraphs 150 deep", "model.onnx", _nested),
    _bytes("graph", "cut off", "model.onnx", lambda _: _graph([IDENTITY])[:-5]),
    _bytes("graph", "a length beyond the end", "model.onnx", lambda _: b"\x08\x09\x3a\xff\xff\xff\xff\x7f"),
    _bytes("graph", "a pickle by that name", "model.onnx", lambda _: Raw("os", "system", ["true"]).stream(4)),
    _bytes("graph", "no nodes", "model.onnx", lambda _: _graph([])),
    _bytes("graph", "by another name", "model.pkl", lambda _: _graph([IDENTITY])),
]

ARCHIVES = [
    _bytes("archive", "a path that leaves", "model.pkl", lambda there: _archive({f"../../{there.marker}/x": b"x"})),
    _bytes("archive", "an absolute path", "model.pkl", lambda there: _archive({f"{there.marker}/x": b"x"})),
    _bytes("archive", "a link", "model.pkl", lambda there: _archive({"weights": str(there.key).encode()}, link=True)),
    _bytes(
        "archive",
        "a pickle inside",
        "model.joblib",
        lambda there: _archive({"data.pkl": PAYLOADS["a shell"](there).stream(2)}),
    ),
    _bytes(
        "archive",
        "PyTorch",
        "model.pkl",
        lambda there: _archive({"archive/data.pkl": PAYLOADS["eval"](there).stream(2)}),
    ),
    _bytes(
        "archive",
        "skops with a type of its own",
        "model.pkl",
        lambda _: _archive({"schema.json": b'{"__class__": "system", "__module__": "os", "__loader__": "ObjectNode"}'}),
    ),
]

FILES = [
    Case("file", "a pipe", "model.pkl", lambda path, there: os.mkfifo(path)),
    Case("file", "a folder", "model.pkl", lambda path, there: path.mkdir()),
    Case("file", "endless zeros", "model.pkl", lambda path, there: path.symlink_to("/dev/zero")),
    Case("file", "a link to the key", "model.pkl", _link),
    Case("file", "a hard link to the key", "model.pkl", lambda path, there: os.link(there.key, path)),
    Case("file", "the key as a graph", "model.onnx", _link),
    Case("file", "what the kernel makes up", "model.pkl", lambda path, there: path.symlink_to("/proc/self/environ")),
    _bytes("file", "nothing", "model.pkl", lambda _: b""),
    _bytes("file", "a program", "model.pkl", lambda _: b"\x7fELF" + bytes(100)),
    _bytes("file", "a script", "model.joblib", lambda there: f"#!/bin/sh\ntouch {there.marker}/x".encode()),
]


def cases() -> list[Case]:
    """All of them, in a fixed order: every payload in four containers, in turn, and what is no call at all."""
    kinds = list(CONTAINERS)
    calls = [
        _called(payload, kinds[(place * 4 + turn) % len(kinds)])
        for place, payload in enumerate(PAYLOADS)
        for turn in range(4)
    ]
    return [*calls, *BOMBS, *GRAPHS, *ARCHIVES, *FILES]


def sample() -> list[Case]:
    """About forty that are cheap: every container, every kind, and payloads in turn."""
    calls = [_called(payload, list(CONTAINERS)[at % len(CONTAINERS)]) for at, payload in enumerate(list(PAYLOADS)[::3])]
    others = [case for case in (*BOMBS, *GRAPHS, *ARCHIVES, *FILES) if case.cheap]
    return [*calls, *others[::2]]


def assert_never_shown(error: BaseException) -> None:
    said = " ".join(str(part) for part in (error, *vars(error).values()))
    assert SECRET not in said
    assert "\x1b" not in said
