"""After release. Each monitor looks at one thing in a window; findings become alerts.

Which monitors there are, and where the code of each is, stands in `domain.catalogue.monitors`.
"""

from modelmark.monitors.selection import enabled

__all__ = ["enabled"]
