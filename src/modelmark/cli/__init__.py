"""Commands; a few lines each over `app`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from typing import Final

from modelmark.cli.output import ERROR, USAGE, complain, exit_code, misused, note
from modelmark.domain.errors import ModelmarkError, NotYet, Rejected
from modelmark.domain.telemetry import switch_off

INTERRUPTED: Final = 130
#: What the system refuses for reasons that are the user's to mend.
_SYSTEM: Final = frozenset({
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENXIO,
})  # fmt: skip


def main(begin: Callable[[], object] = lambda: None) -> None:
    """Run the command line. An error is one line, never a traceback; exit codes are in docs/commands.md.

    begin: called once everything is imported and an interruption is told as one.
    """
    import typer

    from modelmark.cli.commands import app

    as_json = "--json" in sys.argv

    def run() -> int:
        begin()
        _require_text(sys.argv[1:])
        try:
            return app(standalone_mode=False, prog_name="modelmark") or 0
        except typer.TyperException as error:
            misused(error, as_json=as_json)
            return USAGE

    raise SystemExit(reported(run, as_json=as_json))


def reported(run: Callable[[], int], *, as_json: bool) -> int:
    """The exit code of a process of ours. Whatever stops it is told in one line.

    What libraries warn of is not said: it is no word of ours, and gates that run side by side cannot each keep it quiet.
    """
    switch_off()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.umask(os.umask(0o022) | 0o022)  # whatever it was: nothing of a workspace may be written by others
    try:
        code = run()
    except ModelmarkError as error:
        complain(error, as_json=as_json)
        code = exit_code(error)
    except (KeyboardInterrupt, EOFError):
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0  # whoever read us has seen enough
    except OSError as error:
        code = _refused_by_system(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user; it is kept for whoever mends it
        code = _full(as_json=as_json) if _is_full(error) else _broke(error, as_json=as_json)
    if code == INTERRUPTED:
        note("interrupted; what was finished before stands")
    return code


def _require_text(words: list[str]) -> None:
    """Raises Rejected for a word of bytes that are no text: nothing could store, compare or show it."""
    for place, word in enumerate(words, 1):
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise Rejected(f"word {place} of the command is not UTF-8", code="BAD_TEXT", limit="UTF-8 text")


def _refused_by_system(error: OSError, *, as_json: bool) -> int:
    """A file that the system will not open, make or write is told as such; whatever else it refuses is a failure of ours."""
    if _is_full(error):
        return _full(as_json=as_json)
    if error.filename is None or error.errno not in _SYSTEM:
        return _broke(error, as_json=as_json)
    why = (error.strerror or type(error).__name__).lower()
    told = Rejected(f"{error.filename}: {why}", code="FILE_REFUSED", field="path", hint="name another file or folder")
    complain(told, as_json=as_json)
    return ERROR


def _is_full(error: Exception) -> bool:
    """Of a disk or a quota, whether a file or SQLite met it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "database or disk is full" in str(error)


def _full(*, as_json: bool) -> int:
    told = NotYet("the disk is full, so nothing was changed", code="DISK_FULL", hint="make room and run it again")
    complain(told, as_json=as_json)
    return ERROR


def _broke(error: Exception, *, as_json: bool) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="modelmark-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    told = ModelmarkError(f"Modelmark itself failed ({said})", hint=f"please report it with {file.name}")
    complain(told, as_json=as_json)
    return ERROR
