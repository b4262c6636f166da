"""ONNX graphs that registration converted, fed as the version's signature says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelmark.domain.version import Signature
from modelmark.serving.flavours import Runs, main_file
from modelmark.serving.onnx_graph import open_graph, runner


class Onnx:
    """Implements `flavours.Flavour`."""

    runs = Runs.BY_COST

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> None:
        session = open_graph(main_file(files))
        self.run = runner(session, signature.feeds, signature.score_output, numeric=numeric, textual=textual)
