"""Which prediction an answer is, beside its body: HTTP's headers, and gRPC's trailing metadata."""

from __future__ import annotations

from typing import Final

from modelmark.serving.answers import Answer

#: Each line's value is of ASCII letters, digits and hyphens.
ID: Final = "x-modelmark-prediction-id"
VERSION: Final = "x-modelmark-version"
ARM: Final = "x-modelmark-arm"
SERVED_BY: Final = "x-modelmark-served-by"
FLAGS: Final = "x-modelmark-flags"


def pairs(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Id, version, arm, who answered and, where values were flagged, how many."""
    flags = ((FLAGS, str(len(answer.flags))),) if answer.flags else ()
    version, served_by = (VERSION, answer.version.label), (SERVED_BY, str(answer.served_by))
    return ((ID, answer.id), version, (ARM, answer.arm), served_by, *flags)


def headers(answer: Answer) -> bytes:
    """The same as header lines."""
    return "".join(f"{name}: {value}\r\n" for name, value in pairs(answer)).encode("latin-1")
