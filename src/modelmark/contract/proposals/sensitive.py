"""Columns that are named like a protected characteristic, whether the model takes them or not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from modelmark.contract.proposals.names import words_of

#: Of the law's lists (EU Charter, article 21; US Title VII, ECOA), as columns spell them.
_PROTECTED: Final = re.compile(
    r"\b(age|ages|sex|gender|race|racial|ethnic\w*|religio\w*|nationality|nation|native country|citizen\w*|foreign\w*"
    r"|disab\w*|marital|marriage|married|civil status|personal status|birth\w*|dob|pregnan\w*"
    r"|black|hisp|hispanic|latin[oa]|minority|female|male|woman|women)\b"
)
#: What has an age and is nobody.
_OF_THINGS: Final = re.compile(
    r"\b(account|asset|battery|building|car|claim|contract|credit|device|engine|equipment|file|home|house|item|loan|machine|order"
    r"|page|policy|product|property|roof|stock|ticket|vehicle|veh|website) ages?\b"
)


def sensitive(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of the columns that fairness should be asked about, in their order.

    >>> sensitive(["AGE", "mileage", "MaritalStatus", "native_country", "page", "vehicle_age", "driver_age"])
    ('AGE', 'MaritalStatus', 'native_country', 'driver_age')
    """
    return tuple(name for name in columns if _PROTECTED.search(_OF_THINGS.sub("", words_of(name))))
