"""After release. Each monitor looks at one thing in a window; findings become alerts."""

from modelmark.monitors.builtin import BUILTIN, enabled

__all__ = ["BUILTIN", "enabled"]
