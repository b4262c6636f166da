"""Whatever others wrote reaches a terminal as words: one place prints, and no other part of the command line does."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

import modelmark
from modelmark.cli import output
from modelmark.domain.errors import ContractFault, ContractInvalid, Rejected
from modelmark.domain.printable import in_json, lines, one_line

ROOT = Path(modelmark.__file__).parent
#: What a terminal would obey, or a reader be misled by.
HARM = {
    "a colour": "\x1b[31m", "a window's title": "\x1b]0;owned\x07", "a link": "\x1b]8;;http://evil\x1b\\", "one-byte CSI": "\x9b2J",
    "a bell": "\x07", "a backspace": "\x08", "a carriage return": "\r", "a line end": "\n", "NUL": "\x00", "delete": "\x7f",
    "turned around": "\u202e", "isolated": "\u2066", "next line": "\x85", "a line separator": "\u2028", "a paragraph": "\u2029",
    "half a pair": "\ud800", "a byte of no text": "\udc80", "a tag": "\U000e0041", "a zero-width space": "\u200b",
    "a mark": "\ufeff",
}  # fmt: skip
PLAIN = ("plain", "né", "表ポ", "שלום", "🏳️\u200d🌈", "می\u200cخواهم", "a\u00a0b", "")


@pytest.mark.parametrize("harm", HARM)
def test_one_line_spells_out_what_does_something(harm: str):
    found = one_line(f"before {HARM[harm]} after")
    assert not set(found) & (set(HARM[harm]) - set("[]0123456789;:/abcdefghijklmnopqrstuvwxyzJ\\"))
    assert found.startswith("before \\")
    assert found.encode("utf-8")
    assert "\n" not in found


@pytest.mark.parametrize("text", PLAIN)
def test_words_of_every_script_stay(text: str):
    assert one_line(text) == text
    assert lines(text) == text


def test_a_long_text_is_cut_and_says_how_long_it_was():
    assert one_line("x" * 5000) == "x" * 4000 + "… (5,000 characters)"


def test_a_document_keeps_its_lines_and_nothing_else():
    assert lines("a\nb\r\n\x1b[1mc\n") == "a\nb\\r\n\\x1b[1mc\n"


@pytest.mark.parametrize("harm", HARM)
def test_json_stays_the_same_value_and_harmless(harm: str):
    value = {HARM[harm]: [HARM[harm], "a"]}
    text = in_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


def said(act: Any, monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> tuple[str, str]:
    """What an act writes to standard output and standard error."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    act()
    out = []
    for stream in streams:
        stream.flush()
        out.append(stream.buffer.getvalue().decode(encoding))  # type: ignore[attr-defined]
    return out[0], out[1]


EVERYTHING = "".join(HARM.values())
FAULT = ContractFault(file=EVERYTHING, line=1, field=EVERYTHING, found=EVERYTHING, allowed=EVERYTHING)
WAYS = {
    "say": lambda: output.say(f"a{EVERYTHING}b"),
    "a document": lambda: output.say_document(EVERYTHING.replace("\n", "")),
    "note": lambda: output.note(EVERYTHING),
    "JSON": lambda: output.say_json({EVERYTHING: EVERYTHING}),
    "an error": lambda: output.complain(Rejected(EVERYTHING, limit=EVERYTHING, hint=EVERYTHING), as_json=False),
    "an error as JSON": lambda: output.complain(Rejected(EVERYTHING, limit=EVERYTHING, hint=EVERYTHING), as_json=True),
    "a contract's faults": lambda: output.complain(ContractInvalid((FAULT,)), as_json=False),
    "a table": lambda: output.table(("a", "b"), [(f"[bold]x[/bold][link=http://evil]y[/link]{EVERYTHING}", 1)]),
    "progress": lambda: _progress(),
}  # fmt: skip


def _progress() -> None:
    with output.progress(quiet=False) as bar:
        bar(EVERYTHING, 1, 1)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_print_is_harmless(way: str, encoding: str, monkeypatch: pytest.MonkeyPatch):
    out, err = said(WAYS[way], monkeypatch, encoding)
    assert out + err
    for text in (out, err):
        assert text.replace("\n", "").isprintable() or not text
    if way in ("say", "note", "an error", "a contract's faults", "progress"):
        assert (out + err).count("\n") == 1
    if "JSON" in way and encoding == "utf-8":
        json.loads(out)


def test_a_table_shows_markup_as_words(monkeypatch: pytest.MonkeyPatch):
    out, _ = said(lambda: output.table(("a",), [("[bold]x[/bold]",)]), monkeypatch)
    assert "[bold]x[/bold]" in out


def test_logs_and_their_tracebacks_are_harmless():
    try:
        raise ValueError(EVERYTHING)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "the page %s failed", (EVERYTHING,), sys.exc_info())
    text = output.PrintableLogs("%(message)s").format(record)
    assert "ValueError" in text
    assert text.replace("\n", "").isprintable()


STREAMS = ("print", "typer.echo", "click.echo", "sys.stdout.write", "sys.stderr.write", "sys.stderr.writelines")


def writes(path: Path):
    """Calls that write to a terminal: (line, what is called, whether the text passes `one_line` first)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in (*STREAMS, "getpass.getpass"):
            yield node.lineno, name, bool(node.args) and ast.unparse(node.args[0]).startswith(("one_line(", "told"))


def test_the_command_line_prints_in_one_place_and_everything_else_through_the_same_rule():
    bare = []
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        if place == "cli/output.py":
            continue
        elsewhere = place.startswith("cli/")
        bare += [
            f"{place}:{line}" for line, name, spelled in writes(path) if not spelled or (elsewhere and name in STREAMS)
        ]
    own = {  # two processes of ours talking to each other, and one that a scanner's sandbox runs
        "serving/worker.py": "ready", "serving/supervisor.py": "serving on", "gates/supply_chain/scanners.py": "json",
    }  # fmt: skip
    assert [where for where in bare if where.split(":")[0] not in own] == []
    assert len(bare) <= len(own), bare
