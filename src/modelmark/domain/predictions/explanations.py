"""How an answer may be explained."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Method(StrEnum):
    """SHAP: what each column adds, Shapley values. LIME: local slopes. GLASS_BOX: the model's own terms, where it has some."""

    SHAP = "shap"
    LIME = "lime"
    GLASS_BOX = "glass_box"


METHODS: Final = tuple(map(str, Method))
