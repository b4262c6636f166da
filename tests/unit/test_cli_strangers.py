"""What strangers wrote, at the command line: one line for an error, nothing that a terminal obeys, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelmark.cli import main

CODES = {
    "CONTRACT_INVALID", "FILE_REFUSED", "BAD_TEXT", "USAGE", "BAD_SETTING", "UNKNOWN_SETTING", "NOTHING_REGISTERED",
    "NO_CONTRACT", "NO_MODEL", "NO_TABLE", "NO_FILE", "NO_VERSION", "NOT_LOOPBACK", "BAD_DATABASE_URL", "DATABASE_UNAVAILABLE",
}  # fmt: skip


class Shell:
    """The command line in a folder, in this process: exit code, standard output, standard error."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)

    def __call__(self, *words: str | bytes, **environ: str) -> tuple[int, str, str]:
        for name, value in environ.items():
            self._patch.setenv(name, value)
        self._patch.setattr(sys, "argv", ["modelmark", *map(os.fsdecode, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


CONTRACTS = {
    "an escape in a field": b'"\\e[31mred\\e]0;owned\\a": 1\n',
    "a field turned around": '"\u202eevil": 1\n'.encode(),
    "a name of two lines": b'name: "a\\nok: everything is fine"\n',
    "a tag": b"name: !!python/object/apply:os.system [id]\n",
    "UTF-16": "name: a\n".encode("utf-16"),
    "100,000 brackets": b"[" * 100_000,
    "4,000 digits": b"modelmark: " + b"9" * 4000 + b"\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", CONTRACTS)
def test_a_contract_reaches_the_terminal_as_words(what: str, tmp_path: Path, run: Shell):
    (tmp_path / "modelmark.yaml").write_bytes(CONTRACTS[what])
    code, out, err = run("register")
    assert code == 3
    assert out == ""
    assert all(line.startswith("error: modelmark.yaml") and line.isprintable() for line in err.splitlines()), err
    code, out, err = run("register", "--json")
    assert json.loads(out)["error"]["code"] == "CONTRACT_INVALID"
    assert out.replace("\n", "").isprintable()


LONG = "a" * 5000
WORDS: dict[str, tuple[tuple[str | bytes, ...], dict[str, str]]] = {
    "a port of 5,000 digits": (("serve", "--port", "9" * 5000), {}),
    "a port as an escape": (("serve", "--port", "\x1b[31m"), {}),
    "a port of 5,000 digits in the environment": (("status",), {"MODELMARK_PORT": "9" * 5000}),
    "a database with such a port": (("status",), {"MODELMARK_DATABASE": "postgresql://u@127.0.0.1:" + "9" * 3000 + "/d"}),
    "a setting of 5,000 characters": (("status",), {f"MODELMARK_{LONG.upper()}": "1"}),
    "a host of 3,000 characters": (("serve",), {"MODELMARK_HOST": "a" * 3000}),
    "a folder of 5,000 characters": (("status", "--workspace", LONG), {}),
    "a contract of 5,000 characters": (("register", "--contract", LONG), {}),
    "a model of 5,000 characters": (("status", "--model", LONG), {}),
    "a version of 5,000 characters": (("check", LONG), {}),
    "a label file of 5,000 characters": (("label", LONG), {}),
    "a folder as a contract": (("register", "--contract", "/"), {}),
    "a file as a workspace": (("status", "--workspace", "/etc/hostname"), {}),
    "bytes of no text": (("status", "--model", b"\xff\xfe"), {}),
    "an escape as a model": (("status", "--model", "\x1b[31m\nok"), {}),
    "an escape as a command": (("\x1b[31m",), {}),
    "a table of 5,000 characters": (("init", "m.onnx", "--train", LONG, "--holdout", LONG, "--target", "y"), {}),
    "a wildly long option": (("status", "--" + LONG), {}),
}  # fmt: skip


@pytest.mark.parametrize("what", WORDS)
def test_words_and_settings_end_in_one_named_line(what: str, run: Shell):
    words, environ = WORDS[what]
    code, out, err = run(*words, **environ)
    assert code in (1, 3, 64), (out, err)
    assert err.count("\n") == 1, err
    assert err.removesuffix("\n").isprintable()
    assert err.startswith("error: ")
    assert "Modelmark itself failed" not in err
    assert len(err) < 6000
    code, out, err = run(*words, "--json", **environ)
    assert json.loads(out)["error"]["code"] in CODES
    assert err == ""


def test_a_process_of_its_own_says_the_same(tmp_path: Path):
    (tmp_path / "modelmark.yaml").write_bytes(CONTRACTS["an escape in a field"])
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")} | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "modelmark", "register"], cwd=tmp_path, env=kept, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"\\x1b[31mred" in done.stderr
    assert b"\x1b" not in done.stderr
