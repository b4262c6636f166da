"""The monitors of this house: a row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelmark.domain.catalogue import monitor_settings as settings
from modelmark.domain.catalogue.rows import MonitorRow, Proves

_SHARE: Final = (0.0, 1.0)
_COUNT: Final = (1.0, 1_000_000_000.0)

_ROWS: Final = (
    MonitorRow(
        name="quality",
        code="modelmark.monitors.quality:Quality",
        settings=settings.QualityMonitor,
        ranges={"tolerance": _SHARE, "implausible": (0.0, 1_000_000_000.0)},
        tiles=(Proves("2.quality"), Proves("8.logged"), Proves("monitor.2")),
    ),
    MonitorRow(
        name="drift",
        code="modelmark.monitors.drift:Drift",
        settings=settings.DriftMonitor,
        ranges={"tolerance": _SHARE, "false_alarm_rate": (1e-6, 0.5), "min_rows": _COUNT},
        tiles=(Proves("2.drift"), Proves("7.anomalies")),
    ),
    MonitorRow(
        name="performance",
        code="modelmark.monitors.performance:Performance",
        settings=settings.PerformanceMonitor,
        ranges={"tolerance": _SHARE, "confidence": (0.5, 0.9999), "min_labels": _COUNT},
        tiles=(Proves("2.performance"), Proves("8.live"), Proves("monitor.7")),
    ),
    MonitorRow(
        name="volume",
        code="modelmark.monitors.volume:Volume",
        settings=settings.VolumeMonitor,
        ranges={"tolerance": (0.05, 0.99)},
        tiles=(Proves("7.anomalies"),),
    ),
    MonitorRow(
        name="estimate",
        code="modelmark.monitors.estimate:Estimated",
        settings=settings.EstimateMonitor,
        ranges={"tolerance": _SHARE, "confidence": (0.5, 0.9999), "min_rows": _COUNT, "min_labels": _COUNT},
    ),
    MonitorRow(
        name="calibration",
        code="modelmark.monitors.calibration:Calibrated",
        settings=settings.CalibrationMonitor,
        ranges={"tolerance": _SHARE, "confidence": (0.5, 0.9999), "min_labels": _COUNT},
    ),
)

#: By name, as in the contract's `monitors`.
MONITORS: Final[Mapping[str, MonitorRow]] = {row.name: row for row in _ROWS}
