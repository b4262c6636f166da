"""The real server with one candidate on loopback, outside all traffic: own port, own journal, thrown away later."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelmark.domain.ports import Staged
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import running


class LocalStaging:
    """Implements `domain.ports.Staging`."""

    @contextmanager
    def open(self, version: Version, folder: Path) -> Iterator[Staged]:
        """The model answers under its own name, its version label is `staged`."""
        with tempfile.TemporaryDirectory(prefix="modelmark-staging-") as scratch:
            options = ("--candidate", str(folder.resolve()), "--candidate-id", str(version.id))
            with running(Workspace(Path(scratch)), worker_options=options) as supervisor:
                yield Staged(address=supervisor.address, processes=supervisor.processes)
