"""What the pictures in evidence share: Vega-Lite with its data inside. Look and colours come from `domain.theme`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import SCHEMA

WIDTH: Final = 560


def figure(title: str, spec: Mapping[str, Any]) -> Figure:
    """A picture of the usual width, unless the spec says otherwise."""
    return Figure(title=title, spec={"$schema": SCHEMA, "width": WIDTH, **spec})


def rounded(value: float) -> float:
    """Six digits: more cannot be seen, and the ledger keeps every one."""
    return float(f"{value:.6g}")
