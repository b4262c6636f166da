"""Labels by prediction id over gRPC: a service of our own beside those of the protocols."""

from __future__ import annotations

from typing import Any, Final

import grpc

from modelmark.domain.errors import Rejected
from modelmark.serving.grpc.calls import Calls
from modelmark.serving.grpc.generated import labels_pb2 as pb
from modelmark.serving.wire import labels

NAME: Final = "modelmark.Labels"


class LabelService:
    """Over the calls of one worker."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._runtime = calls, calls.runtime

    def handlers(self) -> Any:
        """What a gRPC server is given."""
        take = grpc.unary_unary_rpc_method_handler(self._calls.plain(pb.TakeLabelsRequest, self._take))
        return grpc.method_handlers_generic_handler(NAME, {"Take": take})

    def _take(self, message: Any) -> Any:
        """Raises Missing, Rejected, NotYet."""
        route = self._runtime.route(message.model)
        found = [_label(index, item) for index, item in enumerate(message.labels[: labels.MAX_LABELS + 1])]
        return pb.TakeLabelsResponse(**labels.take(route, self._runtime, found))


def _label(index: int, item: Any) -> labels.Label:
    kind = item.WhichOneof("label")
    if kind is None:
        limit = "bool_label, int64_label, double_label, string_label"
        raise Rejected("a label is missing", code="MISSING_FIELD", field="label", row=index, limit=limit)
    row = item.row if item.HasField("row") else None
    return labels.Label(label=getattr(item, kind), id=item.id, row=row, source=item.source or "api")
