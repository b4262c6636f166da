"""Which prediction an answer is, as header lines: for protocols whose body has no place for it."""

from __future__ import annotations

from typing import Final

from modelmark.serving.answers import Answer

#: Each line's value is of ASCII letters, digits and hyphens.
ID: Final = "x-modelmark-prediction-id"
VERSION: Final = "x-modelmark-version"
ARM: Final = "x-modelmark-arm"
SERVED_BY: Final = "x-modelmark-served-by"
FLAGS: Final = "x-modelmark-flags"


def headers(answer: Answer) -> bytes:
    """Id, version, arm, who answered and, where values were flagged, how many."""
    said = {ID: answer.id, VERSION: answer.version.label, ARM: answer.arm, SERVED_BY: str(answer.served_by)}
    if answer.flags:
        said[FLAGS] = str(len(answer.flags))
    return "".join(f"{name}: {value}\r\n" for name, value in said.items()).encode("latin-1")
