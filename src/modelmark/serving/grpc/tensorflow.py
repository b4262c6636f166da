"""TensorFlow Serving's calls: PredictionService and the status of ModelService."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import grpc

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Malformed
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.grpc import messages, tensors
from modelmark.serving.grpc.calls import Calls
from modelmark.serving.grpc.generated import tensorflow_serving_pb2 as pb
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.wire import oip_repository, oip_tensors, tfs_model

PREDICTION: Final = "tensorflow.serving.PredictionService"
MODEL: Final = "tensorflow.serving.ModelService"
_FIELD: Final = "signature_def"
_MAP: Final = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


class _Question:
    """Implements `calls.Question`, but for rows and answers. kind: of the message."""

    kind: Callable[[], Any]

    def __init__(self, message: Any) -> None:
        self.message, self.spec = message, message.model_spec
        self.model: str = self.spec.name
        tfs_model.require_signature(self.spec.signature_name or tfs_model.SIGNATURE)

    @classmethod
    def read(cls, body: bytes) -> Any:
        """Raises Malformed."""
        return cls(messages.read(cls.kind, body))

    def arm(self, route: LiveRoute) -> int | None:
        return _arm(route, self.spec)

    def entity(self) -> str:
        """The protocol has no place for it."""
        return ""


class _Predict(_Question):
    kind = pb.PredictRequest

    def rows(self, codec: RowCodec) -> Rows:
        return tensors.rows(self.message.inputs, codec)

    def renderer(self, version: LoadedModel) -> Callable[[Answer], bytes]:
        wanted = list(self.message.output_filter)
        oip_tensors.require_outputs(wanted, version.codec.task)
        return partial(_predicted, wanted or None)


class _Classify(_Question):
    kind = pb.ClassificationRequest

    def rows(self, codec: RowCodec) -> Rows:
        return tensors.rows_of_examples(self.message.input, codec)

    def renderer(self, version: LoadedModel) -> Callable[[Answer], bytes]:
        tfs_model.require_task("classify", version.codec.task)
        return _classified


class _Regress(_Question):
    kind = pb.RegressionRequest

    def rows(self, codec: RowCodec) -> Rows:
        return tensors.rows_of_examples(self.message.input, codec)

    def renderer(self, version: LoadedModel) -> Callable[[Answer], bytes]:
        tfs_model.require_task("regress", version.codec.task)
        return _regressed


class TensorflowServices:
    """Both services over the calls of one worker."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._runtime = calls, calls.runtime

    def handlers(self) -> list[Any]:
        """What a gRPC server is given."""
        calls = self._calls
        prediction = {
            "Predict": calls.predict(_Predict.read),
            "Classify": calls.predict(_Classify.read),
            "Regress": calls.predict(_Regress.read),
            "GetModelMetadata": calls.plain(pb.GetModelMetadataRequest, self._metadata),
        }
        model = {
            "GetModelStatus": calls.plain(pb.GetModelStatusRequest, self._status),
            "HandleReloadConfigRequest": calls.plain(pb.ReloadConfigRequest, self._reload),
        }
        return [
            grpc.method_handlers_generic_handler(
                name, {call: grpc.unary_unary_rpc_method_handler(handler) for call, handler in found.items()}
            )
            for name, found in ((PREDICTION, prediction), (MODEL, model))
        ]

    def _metadata(self, message: Any) -> Any:
        if list(message.metadata_field) != [_FIELD]:
            raise Malformed("no such metadata", code="BAD_REQUEST", field="metadata_field", limit=_FIELD)
        route = self._runtime.route(message.model_spec.name)
        version = route.arms[_arm(route, message.model_spec) or 0].version
        about = oip_tensors.metadata(route, version)
        signature = pb.SignatureDef(method_name=tfs_model.METHOD)
        for tensor in about["inputs"]:
            signature.inputs[tensor["name"]].CopyFrom(_info(tensor))
        for tensor in about["outputs"]:
            signature.outputs[tensor["name"]].CopyFrom(_info(tensor))
        found = pb.SignatureDefMap()
        found.signature_def[tfs_model.SIGNATURE].CopyFrom(signature)
        told = pb.GetModelMetadataResponse(model_spec=_spec(route.model, version, ""))
        told.metadata[_FIELD].CopyFrom(pb.Any(type_url=_MAP, value=found.SerializeToString()))
        return told

    def _status(self, message: Any) -> Any:
        route = self._runtime.route(message.model_spec.name)
        arm = _arm(route, message.model_spec)
        chosen = [one.version for one in route.arms] if arm is None else [route.arms[arm].version]
        state = pb.ModelVersionStatus.UNLOADING if self._runtime.health.draining else pb.ModelVersionStatus.AVAILABLE
        return pb.GetModelStatusResponse(
            model_version_status=[
                pb.ModelVersionStatus(version=number, state=state, status=pb.StatusProto())
                for number in dict.fromkeys(map(tfs_model.number, chosen))
            ]
        )

    def _reload(self, message: Any) -> Any:
        raise oip_repository.refuse_change()


def _arm(route: LiveRoute, spec: Any) -> int | None:
    return tfs_model.arm_of(route, spec.version.value, spec.version_label)


def _spec(model: str, version: LoadedModel, signature: str = tfs_model.SIGNATURE) -> Any:
    number = pb.Int64Value(value=tfs_model.number(version))
    return pb.ModelSpec(name=model, version=number, signature_name=signature)


def _info(tensor: dict[str, Any]) -> Any:
    shape = pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=size) for size in tensor["shape"]])
    kind = pb.DataType.Value(tfs_model.TYPE[tensor["datatype"]])
    return pb.TensorInfo(name=tensor["name"], dtype=kind, tensor_shape=shape)


def _predicted(wanted: list[str] | None, answer: Answer) -> bytes:
    found = pb.PredictResponse(model_spec=_spec(answer.version.model, answer.version))
    for output in oip_tensors.outputs(answer, wanted):
        found.outputs[output.name].CopyFrom(tensors.tensor_of(output))
    return bytes(found.SerializeToString())


def _classified(answer: Answer) -> bytes:
    found = pb.ClassificationResponse(model_spec=_spec(answer.version.model, answer.version))
    for row in tfs_model.classified(answer):
        classes = [pb.Class(label=label, score=score) for label, score in row]
        found.result.classifications.append(pb.Classifications(classes=classes))
    return bytes(found.SerializeToString())


def _regressed(answer: Answer) -> bytes:
    """Nothing where a person will answer: the protocol has no null."""
    found = pb.RegressionResponse(model_spec=_spec(answer.version.model, answer.version))
    if answer.served_by is not ServedBy.REVIEW:
        found.result.regressions.extend(pb.Regression(value=value) for value in answer.scores)
    return bytes(found.SerializeToString())
