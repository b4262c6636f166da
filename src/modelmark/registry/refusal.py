"""What the child says when an artifact is at fault: a reason from a closed list, and never a text of its own making."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmark.registry.words import words

#: Types of errors by name, in which a child may tell what happened. Another type goes by the first of its bases here.
KINDS: Final = words(
    "Exception ArithmeticError AssertionError AttributeError EOFError ImportError IndexError KeyError LookupError"
    " MemoryError ModuleNotFoundError NotImplementedError OSError OverflowError PermissionError RecursionError"
    " ReferenceError RuntimeError StopIteration SyntaxError TimeoutError TypeError UnicodeDecodeError UnicodeError ValueError"
    " ZeroDivisionError FloatingPointError BadGzipFile LZMAError UnpicklingError DecodeError NotFittedError LinAlgError"
    " MissingShapeCalculator MissingConverter Fail InvalidArgument InvalidGraph InvalidProtobuf RuntimeException"
    " NoSuchFile NoModel EPFail NotImplemented"
)


class Refusal(Exception):
    """Becomes facts in result.json. reason: a key of `answers.REASONS`. kind: one of `KINDS`.

    names: shown only where the parent knows each of them already. numbers: counts and positions.
    """

    def __init__(self, reason: str, *, kind: str = "", names: Sequence[str] = (), numbers: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.reason, self.kind, self.names, self.numbers = reason, kind, list(names), list(numbers)


def kind_of(error: BaseException) -> str:
    """The error's type in the closed list."""
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in KINDS), "Exception")
