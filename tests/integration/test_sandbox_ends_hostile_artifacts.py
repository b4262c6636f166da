"""Harmless hostile artifacts: each would leave a marker file behind; none may."""

import builtins
import os
import pickle
import socket
import subprocess
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from modelmark.domain import errors
from modelmark.registry import sandbox

REQUEST = {
    "name": "m",
    "task": "binary",
    "classes": [0, 1],
    "positive": 1,
    "threshold": 0.5,
    "inputs": [{"name": "a", "type": "number", "nullable": False}],
    "rows_per_run": 1000,
}


class Calls:
    """Unpickling this calls `function(*args)`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def opcodes(module, name, argument):
    """A hand-made protocol-0 stream, as attackers write it."""
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


def stack_global(module, name, argument):
    def text(value):
        return b"\x8c" + bytes([len(value)]) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def run(tmp_path, payload, **limits):
    source, table = tmp_path / "source.bin", tmp_path / "holdout.parquet"
    source.write_bytes(payload)
    pd.DataFrame({"a": [0.0, 1.0]}).to_parquet(table)
    with sandbox.run(
        "convert", REQUEST, {"source.bin": source, "holdout.parquet": table}, sandbox.Limits(**limits)
    ) as answer:
        return answer.facts


def touch(marker):
    return f"touch {marker}"


HOSTILE = {
    "os.system": lambda m: pickle.dumps(Calls(os.system, touch(m))),
    "posix by hand": lambda m: opcodes("posix", "system", touch(m)),
    "stack global": lambda m: stack_global("os", "system", touch(m)),
    "subprocess": lambda m: pickle.dumps(Calls(subprocess.check_output, ["touch", str(m)])),
    "open for writing": lambda m: pickle.dumps(Calls(builtins.open, str(m), "w")),
    "eval": lambda m: pickle.dumps(Calls(eval, f"open({str(m)!r}, 'w')")),
    "exec": lambda m: pickle.dumps(Calls(exec, f"import pathlib; pathlib.Path({str(m)!r}).touch()")),
    "getattr on a module": lambda m: pickle.dumps(Calls(getattr, Calls(__import__, "os"), "system")),
    "a fork": lambda m: pickle.dumps(Calls(os.fork)),
    "execv": lambda m: pickle.dumps(Calls(os.execv, "/usr/bin/touch", ["touch", str(m)])),
    "a socket": lambda m: pickle.dumps(Calls(socket.create_connection, ("127.0.0.1", 9))),
    "numpy writes a file": lambda m: pickle.dumps(Calls(np.save, str(m), 1)),
    "numpy's own exec": lambda m: opcodes("numpy.testing._private.utils", "runstring", f"open('{m}','w')"),
    "a model that acts when unpickled deep inside": lambda m: pickle.dumps({"model": [Calls(os.system, touch(m))]}),
    "joblib dumps to a file": lambda m: pickle.dumps(Calls(joblib.dump, 1, str(m))),
    "pandas writes a table": lambda m: pickle.dumps(Calls(pd.DataFrame.to_csv, pd.DataFrame({"a": [1]}), str(m))),
    "a hook of its own": lambda m: opcodes("sys", "addaudithook", "x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_child_is_ended_before_it_can_act(tmp_path, name):
    marker = tmp_path / "marker"
    payload = HOSTILE[name](marker)
    with pytest.raises(errors.Rejected) as caught:
        run(tmp_path, payload)
    assert not any(tmp_path.glob("marker*"))
    assert caught.value.code in {"UNSAFE_ARTIFACT", "NOT_A_MODEL"}
    if name != "numpy's own exec":
        assert caught.value.code == "UNSAFE_ARTIFACT"


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3)])
def test_compression_hides_nothing(tmp_path, compress):
    marker, path = tmp_path / "marker", tmp_path / "m.joblib"
    joblib.dump({"weights": np.arange(3), "x": Calls(os.system, touch(marker))}, path, compress=compress)
    with pytest.raises(errors.Rejected, match="no model may do") as caught:
        run(tmp_path, path.read_bytes())
    assert caught.value.code == "UNSAFE_ARTIFACT"
    assert not marker.exists()


def test_the_event_is_named(tmp_path):
    with pytest.raises(errors.Rejected, match="system"):
        run(tmp_path, HOSTILE["os.system"](tmp_path / "marker"))


def test_a_memory_bomb_is_refused_and_harms_nobody(tmp_path):
    bomb = pickle.dumps(Calls(bytearray, 64 << 30))
    with pytest.raises(errors.Rejected) as caught:
        run(tmp_path, bomb, memory_bytes=512 << 20)
    assert caught.value.code == "OUT_OF_MEMORY"


def test_an_endless_loop_is_cut_off(tmp_path):
    endless = pickle.dumps(Calls(sum, Calls(iter, int, 1)))
    with pytest.raises(errors.TimedOut) as caught:
        run(tmp_path, endless, seconds=8)
    assert caught.value.code == "TOO_SLOW"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80\x05", b"hello", pickle.dumps({"a": 1}), pickle.dumps(Path), b"\x1f\x8b\x08\x00rest"],
    ids=["empty", "truncated", "text", "a dict", "a class", "broken gzip"],
)
def test_what_is_no_model_is_called_so(tmp_path, payload):
    with pytest.raises(errors.Rejected) as caught:
        run(tmp_path, payload)
    assert caught.value.code in {"NOT_A_MODEL", "UNSAFE_ARTIFACT"}


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")


@pytest.mark.usefixtures("secret")
def test_the_child_inherits_no_secrets():
    assert "MLFLOW_TRACKING_TOKEN" not in sandbox.environment()
