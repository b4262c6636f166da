"""The words in a column's name, however it is spelled."""

from __future__ import annotations

import re
from typing import Final

#: Before a capital that begins a word, and at whatever is no letter of any alphabet.
_SEAMS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+")


def words_of(name: str) -> str:
    """Lower case, one space between two words.

    >>> words_of("MaritalStatus"), words_of("native-country"), words_of("MARRIAGE_2"), words_of("patientID")
    ('marital status', 'native country', 'marriage', 'patient id')
    """
    return " ".join(word.lower() for word in _SEAMS.split(name) if word)
