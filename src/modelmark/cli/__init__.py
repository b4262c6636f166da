"""Commands; a few lines each over `app`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import errno
import os
import sys

from modelmark.cli.output import ERROR, USAGE, complain, exit_code, misused
from modelmark.domain.errors import ModelmarkError, NotYet


def main() -> None:
    """Run the command line. An error is one line, never a traceback; exit codes are in docs/commands.md."""
    import typer

    from modelmark.cli.commands import app

    as_json = "--json" in sys.argv
    os.umask(os.umask(0o022) | 0o022)  # whatever it was: nothing of a workspace may be written by others
    try:
        code = app(standalone_mode=False, prog_name="modelmark")
    except ModelmarkError as error:
        complain(error, as_json=as_json)
        code = exit_code(error)
    except typer.TyperException as error:
        misused(error, as_json=as_json)
        code = USAGE
    except (KeyboardInterrupt, EOFError):
        code = 130
    except BrokenPipeError:
        code = 0  # whoever read us has seen enough
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user; it is kept for whoever mends it
        code = _full(as_json=as_json) if _is_full(error) else _broke(error, as_json=as_json)
    raise SystemExit(code or 0)


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
