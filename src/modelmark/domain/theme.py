"""How every chart looks, on pages and in reports. A Vega-Lite `config`; colours are Okabe and Ito's.

Text and axes take `currentColor`-like greys that keep contrast AA on white and on near-black.
"""

from __future__ import annotations

from typing import Any, Final

#: Distinguishable with any colour vision (Okabe & Ito 2008).
CATEGORICAL: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999")
ACCENT: Final = CATEGORICAL[0]
SEQUENTIAL: Final = ("#EAF3FA", "#9CC9E6", "#4A9BCB", "#0072B2", "#003F66")
_INK: Final = "#767676"  # 4.5:1 on white and on #111
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"

CONFIG: Final[dict[str, Any]] = {
    "background": None,
    # Room for labels that another machine's font draws wider.
    "padding": {"left": 28, "right": 16, "top": 8, "bottom": 8},
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "domainColor": _INK,
        "tickColor": _INK,
        "gridColor": "#80808033",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "titleFontSize": 12},
    "title": {"color": _INK, "anchor": "start", "fontSize": 14, "fontWeight": "normal"},
    "text": {"color": _INK, "fontSize": 12},
    "range": {"category": list(CATEGORICAL), "heatmap": list(SEQUENTIAL), "ramp": list(SEQUENTIAL)},
    "bar": {"fill": ACCENT},
    "line": {"strokeWidth": 2},
    "point": {"filled": True, "size": 60},
    "rule": {"color": _INK},
}

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
