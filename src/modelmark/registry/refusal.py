"""What the child says when an artifact is at fault."""

from __future__ import annotations


class Refusal(Exception):
    """Becomes one line of facts in result.json; the parent raises it again as Rejected."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
