"""Every error a user can meet. Errors carry facts; each transport translates them with one table.

ModelmarkError
├── Rejected            the caller's input is wrong
│   ├── Malformed       it could not be read at all
│   └── TooLarge        it is over a size limit
├── ContractInvalid     modelmark.yaml breaks its schema
├── Missing             nothing goes by that name
├── NotPermitted        a rule of governance forbids it
│   ├── NoMark          no valid mark, so no traffic
│   └── NoKey           nobody known asks: no key, or one that opens nothing
├── Conflict            somebody else changed it first
├── Tampered            bytes are not what was signed or recorded
├── Unmeasured          a measurement could not be made, which is a failure
│   └── NotEnoughData   too few rows to say anything
├── NotYet              not ready; ask again
│   └── Overloaded      more waits than can be answered in time; ask again after `retry_after` seconds
│       └── OverQuota   a key asked more often than it may
├── TimedOut            the deadline passed
└── OutputInvalid       the model answered nonsense and no fallback was left
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


class ModelmarkError(Exception):
    """Base of the tree.

    code: a stable name for machines, upper case. field, row, limit: where it is wrong and what is allowed.
    hint: what to do next, one sentence.
    """

    default_code = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        row: int | None = None,
        limit: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.row = row
        self.limit = limit
        self.hint = hint

    @property
    def bounds(self) -> str:
        """The limit as people read it; one that says itself what it is (`known: a, b`) needs no word before it.

        >>> ModelmarkError("", limit="0 to 120").bounds, ModelmarkError("", limit="ann.lee may: view").bounds
        ('allowed: 0 to 120', 'ann.lee may: view')
        """
        itself = r"[^,:]+: |the mark says|the registration says|it has "
        if not self.limit:
            return ""
        return self.limit if re.match(itself, self.limit) else f"allowed: {self.limit}"

    def facts(self) -> dict[str, str | int]:
        """The error as plain values, absent ones left out."""
        known = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "row": self.row,
            "limit": self.limit,
            "hint": self.hint,
        }
        return {name: value for name, value in known.items() if value is not None}


class Rejected(ModelmarkError):
    default_code = "INVALID_ARGUMENT"


class Malformed(Rejected):
    default_code = "MALFORMED"


class TooLarge(Rejected):
    default_code = "TOO_LARGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFault:
    """One thing wrong in the contract file."""

    file: str
    line: int | None
    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: found {self.found}; allowed: {self.allowed}"


class ContractInvalid(ModelmarkError):
    default_code = "CONTRACT_INVALID"

    def __init__(self, faults: tuple[ContractFault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)), field=faults[0].field, limit=faults[0].allowed)
        self.faults = faults


class Missing(ModelmarkError):
    default_code = "NOT_FOUND"


#: Codes of refusals at the endpoint for which nothing the caller sent is to blame.
OF_THE_SERVER: Final = frozenset(
    {
        "INTERNAL", "UNAVAILABLE", "OVERLOADED", "DEADLINE_EXCEEDED", "MODEL_OUTPUT_INVALID", "JOURNAL_FAILED",
        "MODEL_UNAVAILABLE", "NO_RELEASE",
    }
)  # fmt: skip


def no_alert(id: object) -> Missing:
    return Missing(f"there is no alert {id}", code="NO_ALERT", field="id", hint="modelmark alerts list shows them")


class NotPermitted(ModelmarkError):
    default_code = "NOT_PERMITTED"


class NoMark(NotPermitted):
    default_code = "NO_MARK"


class NoKey(NotPermitted):
    default_code = "NO_KEY"


class Conflict(ModelmarkError):
    default_code = "CONFLICT"


class Tampered(ModelmarkError):
    default_code = "TAMPERED"


class Unmeasured(ModelmarkError):
    default_code = "COULD_NOT_MEASURE"


class NotEnoughData(Unmeasured):
    default_code = "NOT_ENOUGH_DATA"


class NotYet(ModelmarkError):
    default_code = "UNAVAILABLE"


class Overloaded(NotYet):
    default_code = "OVERLOADED"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, hint=f"try again in {retry_after} s")
        self.retry_after = retry_after


class OverQuota(Overloaded):
    default_code = "OVER_QUOTA"


class TimedOut(ModelmarkError):
    default_code = "DEADLINE_EXCEEDED"


class OutputInvalid(ModelmarkError):
    default_code = "MODEL_OUTPUT_INVALID"
