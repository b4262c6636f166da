"""How the command line speaks: sentences for people, one JSON document for machines, one line for an error."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from modelmark.cli.pasteable import pasteable
from modelmark.domain import printable
from modelmark.domain.errors import ContractInvalid, ModelmarkError, NotPermitted, Rejected, Unmeasured

#: Exit codes, the same for every command: docs/commands.md.
#: Characters of a usage error: what it repeats may be as long as a command line.
_MOST: Final = 500
OK, REFUSED, UNMEASURED, ERROR, USAGE = 0, 1, 2, 3, 64


def exit_code(error: ModelmarkError) -> int:
    if isinstance(error, NotPermitted) or error.code == "DATABASE_GONE":  # something that must be there is not
        return REFUSED
    return UNMEASURED if isinstance(error, Unmeasured) else ERROR


def say(text: str = "") -> None:
    """One line. Line ends before and after are blank lines of ours; inside, what somebody wrote is spelled out."""
    line = text.strip("\n")
    before, _, after = text.partition(line) if line else ("", "", "")
    _write(sys.stdout, f"{before}{printable.one_line(pasteable(line))}{after}")


def say_document(text: str) -> None:
    """A text of several lines."""
    _write(sys.stdout, printable.lines(text))


def note(text: str) -> None:
    """One line on standard error."""
    _write(sys.stderr, printable.one_line(text))


def _write(stream: TextIO, text: str) -> None:
    """The one place where commands print. A character that the terminal's encoding lacks is spelled out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


class PrintableLogs(logging.Formatter):
    """Log records, tracebacks included, made harmless line by line."""

    def format(self, record: logging.LogRecord) -> str:
        return printable.lines(super().format(record))


def log_to_stderr() -> None:
    """What libraries and pages log, from warnings up, once for the process."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableLogs("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def say_json(value: Any) -> None:
    """One document on standard output, in the form that `seal.digests.plain` gives."""
    from modelmark.seal.digests import plain

    _write(sys.stdout, printable.in_json(json.dumps(plain(value), indent=2, ensure_ascii=False)))


def complain(error: ModelmarkError, *, as_json: bool) -> None:
    """One line: what is wrong, where, what is allowed, what to do next. A contract's faults are one line each."""
    if as_json:
        facts = error.facts()
        say_json({"error": facts | ({"hint": pasteable(error.hint)} if error.hint else {})})
        return
    if isinstance(error, ContractInvalid):
        for fault in error.faults:
            note(f"error: {fault}")
        return
    message = re.sub(r"\s*\n\s*", " ", error.message.strip())  # a library's words may come in lines
    row = f" (row {error.row})" if error.row is not None else ""
    bounds = f" [{error.bounds}]" if error.limit else ""
    hint = f" → {pasteable(error.hint)}" if error.hint else ""
    note(f"error: {message}{row}{bounds}{hint}")


def misused(error: Any, *, as_json: bool) -> None:
    """A usage error in the same form; without any argument, the help."""
    context = getattr(error, "ctx", None)  # only errors about a command have one
    place = context.command_path if context else "modelmark"
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    said = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    said = said if len(said) <= _MOST else f"{said[:_MOST]}…"
    complain(Rejected(said, code="USAGE", hint=f"{place} --help"), as_json=as_json)


@contextmanager
def written(path: Path, option: str = "--out") -> Iterator[None]:
    """Around whatever writes `path`, which the user named with `option`. Raises Rejected where it cannot be written."""
    try:
        yield
    except OSError as error:
        about = Path(error.filename or "")
        if about != path and not (about.parent == path.parent and about.name.startswith(f".{path.name}.")):
            raise
        raise cannot_write(path, error.strerror or str(error), option) from None


def cannot_write(path: Path, why: str, option: str) -> Rejected:
    return Rejected(
        f"{path} cannot be written: {why[:1].lower()}{why[1:]}", code="CANNOT_WRITE", field=option,
        limit="a file in a folder that is there and may be written to",
    )  # fmt: skip


def require_folder(path: Path, option: str = "--out") -> None:
    """Before work that takes long: raises Rejected where nothing could be written afterwards."""
    if path.is_dir():
        raise cannot_write(path, "it is a folder", option)
    if not path.parent.is_dir():
        raise cannot_write(path, f"there is no folder {path.parent}", option)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table; numbers to the right. Colours only on a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[i], (int, float)) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else printable.one_line(cell)) for cell in row))  # Text: no markup
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140).print(drawn)


class ProgressBar:
    """A bar per step on a terminal, a line per finished step elsewhere; silent when machines read."""

    def __init__(self, bars: Any, quiet: bool) -> None:
        self._bars = bars
        self._quiet = quiet
        self._known: dict[str, Any] = {}

    def __call__(self, step: str, done: float, total: float) -> None:
        """Say how far a step is. done == total ends it."""
        if self._quiet:
            return
        if self._bars is None:
            if done >= total and self._known.get(step) != "done":
                self._known[step] = "done"
                note(f"  {step}")
            return
        if step not in self._known:
            self._known[step] = self._bars.add_task(printable.one_line(step), total=total)
        self._bars.update(self._known[step], completed=done, total=total)


@contextmanager
def progress(*, quiet: bool) -> Iterator[ProgressBar]:
    """Progress on standard error, so that standard output stays clean."""
    if quiet or not sys.stderr.isatty():
        yield ProgressBar(None, quiet)
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.SpinnerColumn(finished_text="✓"),
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(bar_width=30),
        rich.TaskProgressColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:
        yield ProgressBar(bars, quiet)
