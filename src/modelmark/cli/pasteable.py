"""Commands in hints, as they work when pasted: with the workspace that the command which gives the hint was given."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Final

#: A command that takes a workspace, its second word included where it has one; `deliveries secret` takes none.
_COMMAND: Final = re.compile(
    r"\bmodelmark (?:(?:account|alerts|deliveries|experiment|journal|key|monitors|rollout) (?!secret\b)[a-z]+"
    r"|(?!(?:account|alerts|deliveries|experiment|journal|key|monitors|rollout|schema|demo|audit-decisions|attack)\b)[a-z]+)\b"
)


def pasteable(text: str, words: Sequence[str] | None = None) -> str:
    """words: of the command line, without the program's name [default: this process's]."""
    workspace = _given(sys.argv[1:] if words is None else words)
    if workspace is None:
        return text
    option = f" --workspace {shlex.quote(workspace)}"
    return _COMMAND.sub(lambda found: found[0] + option, text)


def _given(words: Sequence[str]) -> str | None:
    for place, word in enumerate(words):
        if word == "--workspace" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith("--workspace="):
            return word.partition("=")[2]
    return None
