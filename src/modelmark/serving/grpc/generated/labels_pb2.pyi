from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Label(_message.Message):
    __slots__ = ("id", "row", "source", "bool_label", "int64_label", "double_label", "string_label")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    BOOL_LABEL_FIELD_NUMBER: _ClassVar[int]
    INT64_LABEL_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_LABEL_FIELD_NUMBER: _ClassVar[int]
    STRING_LABEL_FIELD_NUMBER: _ClassVar[int]
    id: str
    row: int
    source: str
    bool_label: bool
    int64_label: int
    double_label: float
    string_label: str
    def __init__(self, id: _Optional[str] = ..., row: _Optional[int] = ..., source: _Optional[str] = ..., bool_label: _Optional[bool] = ..., int64_label: _Optional[int] = ..., double_label: _Optional[float] = ..., string_label: _Optional[str] = ...) -> None: ...

class TakeLabelsRequest(_message.Message):
    __slots__ = ("model", "labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, model: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class TakeLabelsResponse(_message.Message):
    __slots__ = ("accepted", "duplicates", "conflicting", "unknown")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicates: int
    conflicting: int
    unknown: int
    def __init__(self, accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., conflicting: _Optional[int] = ..., unknown: _Optional[int] = ...) -> None: ...
