"""Commands; a few lines each over `app`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import sys

from modelmark.cli.output import USAGE, complain, exit_code
from modelmark.domain.errors import ModelmarkError


def main() -> None:
    """Run the command line. An error is one line, never a traceback; exit codes are in docs/commands.md."""
    from modelmark.cli.commands import app, usage_errors

    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except ModelmarkError as error:
        complain(error, as_json=as_json)
        code = exit_code(error)
    except usage_errors as error:
        error.show()
        code = USAGE
    except (KeyboardInterrupt, EOFError):
        code = 130
    except BrokenPipeError:
        code = 0  # whoever read us has seen enough
    raise SystemExit(code or 0)
