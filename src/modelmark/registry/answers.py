"""What a child may answer, and what the parent makes of it: a closed form, and sentences that are ours.

A child that opened an artifact may be the artifact's puppet. So nothing it sends is shown as it is: reasons and kinds of
errors come from closed lists, sizes are bounded, and a text is shown only when the parent knew it before the artifact
was opened, from the file's own bytes or from the contract.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from modelmark.domain.errors import ModelmarkError, Rejected, TimedOut
from modelmark.registry import libraries
from modelmark.registry.refusal import KINDS

RESULT_BYTES: Final = 4 << 20
#: What stands for a text that the parent does not know.
UNKNOWN: Final = "another"

Text = Annotated[str, Meta(max_length=200)]
Number = Annotated[int, Meta(ge=-(1 << 53), le=1 << 53)]
Value = bool | int | float | Text | None
Form = TypeVar("Form", bound=Struct)


class Answer(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Everything any verb answers; absent fields are empty. Texts are not yet to be shown: see `known`."""

    reason: Annotated[str, Meta(max_length=40)] = ""
    kind: Annotated[str, Meta(max_length=40)] = ""
    names: Annotated[list[Text], Meta(max_length=100)] = []
    numbers: Annotated[list[Number], Meta(max_length=10_000)] = []
    estimator: Annotated[list[Text], Meta(max_length=100)] = []
    parameters: Annotated[dict[Text, Value], Meta(max_length=100)] = {}
    written_by: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9][0-9.]{0,15}$")]], Meta(max_length=20)] = []
    features: Annotated[list[Text], Meta(max_length=10_000)] | None = None
    classes: Annotated[list[Value], Meta(max_length=10_000)] | None = None
    kinds: Annotated[list[Literal["text", "number", ""]], Meta(max_length=10_000)] = []
    categories: Annotated[list[Annotated[list[Value], Meta(max_length=1000)]], Meta(max_length=10_000)] = []
    taken: Text = ""
    task: Literal["classifier", "regressor", ""] = ""
    cutoff: Annotated[float, Meta(ge=0, le=1)] | None = None
    strangers: Annotated[list[tuple[Text, Number, Number]], Meta(max_length=1000)] = []


class Scanned(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the reader that opens nothing found in a pickle. streams: bytes of each, as they lie in streams.bin. own: there is no
    pickle, but a booster's own form. code: it needs code that came with it, or is such code; imports: modules which that asks
    for."""

    reason: Annotated[str, Meta(max_length=40)] = ""
    kind: Annotated[str, Meta(max_length=40)] = ""
    names: Annotated[list[Text], Meta(max_length=100)] = []
    numbers: Annotated[list[Number], Meta(max_length=100)] = []
    refused: Annotated[list[tuple[Text, Text]], Meta(max_length=20)] = []
    hostile: bool = False
    words: Annotated[list[Text], Meta(max_length=20_000)] = []
    streams: Annotated[list[Number], Meta(max_length=100_000)] = []
    own: bool = False
    code: bool = False
    imports: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,400}$")]], Meta(max_length=200)
    ] = []


class Walls(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the kernel gave a child, said before it read the artifact. landlock: the version, 0 for none."""

    seccomp: bool
    landlock: Annotated[int, Meta(ge=0, le=1000)]
    left: Annotated[list[Annotated[str, Meta(pattern=r"^(network|processes|/proc)$")]], Meta(max_length=3)]

    @property
    def missing(self) -> tuple[str, ...]:
        """The walls that are not there, by name."""
        walls = {
            "seccomp": self.seccomp,
            "Landlock": bool(self.landlock),
            "network namespace": "network" in self.left,
            "process namespace": "processes" in self.left,
        }
        return tuple(name for name, stands in walls.items() if not stands)


class Reason(NamedTuple):
    """template may use {kind}, {names}, {first} (name), {rest} (of them), {here} (our scikit-learn), {a} and {b} (the
    first two numbers)."""

    code: str
    template: str
    hint: str = ""
    error: type[ModelmarkError] = Rejected


_SAVE: Final = "save it with joblib.dump(model, path) and the scikit-learn version installed here"
_EXPORT: Final = "use estimators that skl2onnx supports, or export the model to ONNX yourself"
_NAMES: Final = "list the inputs under the model's names and in its order"
_ELSEWHERE: Final = "do that in the table before the model is fitted, or export the model to ONNX yourself"
_EXPORTED: Final = "export the model to ONNX, and give that file"
_PROGRAM: Final = (
    "torch.export.save(torch.export.export(model.eval(), (example,), dynamic_shapes=({0: torch.export.Dim('rows')},)), "
    "'model.pt2'), and give that file"
)
_SAVED_MODEL: Final = "save it with Keras, model.save('model.keras'), or convert it with tf2onnx, and give that file"
_SUPERVISED: Final = "register a classifier or a regressor"
_UNSAFE: Final = "do not open this file; find out where it comes from"

REASONS: Final[dict[str, Reason]] = {
    "out_of_memory": Reason("OUT_OF_MEMORY", "the model needs more memory than the sandbox grants"),
    "failed": Reason("CONVERSION_FAILED", "the conversion ended with an error ({kind})", _EXPORT),
    "wrong_format": Reason("NOT_A_MODEL", "the file is neither a pickle (joblib, compressed too) nor ONNX", _SAVE),
    "empty": Reason("NOT_A_MODEL", "the file is empty", _SAVE),
    "hdf5": Reason(
        "NOT_A_MODEL",
        "the file is HDF5, as Keras wrote models",
        "load it with Keras, model.save('model.keras'), and give that file",
    ),
    "torch": Reason("NOT_A_MODEL", "the file is a PyTorch module, pickled (torch.save)", _PROGRAM),
    "torch_weights": Reason(
        "NOT_A_MODEL", "the file is a PyTorch state_dict: weights, and not what computes with them", _PROGRAM
    ),
    "torchscript": Reason("NOT_A_MODEL", "the file is TorchScript", _PROGRAM),
    "saved_model": Reason("NOT_A_MODEL", "this is a TensorFlow SavedModel", _SAVED_MODEL),
    "network_inputs": Reason(
        "COLUMNS_DIFFER",
        "the network takes {a} tensors; one of shape (rows, …) is needed",
        "wrap it in a module that takes one tensor",
    ),
    "network_outputs": Reason(
        "WRONG_TASK", "the network answers no single tensor", "wrap it in a module that answers one tensor"
    ),
    "fixed_rows": Reason(
        "CONVERSION_FAILED",
        "the network takes {a} rows at a time, and no other number",
        "export it with dynamic_shapes=({0: torch.export.Dim('rows')}},)",
    ),
    "keras_code": Reason(
        "FOREIGN_CODE",
        "the network holds {first}, which is code of its author's and not of Keras's",
        "build it of Keras's own layers, or give a Python file that answers with it (docs/flavours/python.md)",
    ),
    "open_shape": Reason(
        "COLUMNS_DIFFER",
        "the shape of what the network takes is open beyond its rows",
        "fix all but the number of rows",
    ),
    "no_shares": Reason(
        "NO_PROBABILITIES",
        "{first} answers numbers that are no probabilities: below 0, above 1, or not 1 together",
        "end it with a softmax, or with a sigmoid for two classes",
    ),
    "missing_skops": Reason(
        "MISSING_MODULE",
        "the file is skops's, the form in which MLflow 3 saves scikit-learn models, and skops is not installed here",
        "install it: pip install 'modelmark[skops]'",
    ),
    "damaged_skops": Reason("NOT_A_MODEL", "the file is skops's and cannot be followed to its end", _SAVE),
    "xgboost_of_old": Reason(
        "NOT_A_MODEL",
        "the file is XGBoost's own, in the binary form of years ago",
        "load it with the version that wrote it, model.save_model('model.ubj'), and give that file",
    ),
    "damaged_booster": Reason("NOT_A_MODEL", "{first} cannot read the file ({kind})", _SAVE),
    "objective": Reason(
        "WRONG_TASK",
        "the model was trained for {first}, which gives neither a probability nor a value of the target",
        "train it for a probability (binary:logistic, multi:softprob, binary, multiclass, Logloss) or a value",
    ),
    "safetensors": Reason(
        "NOT_A_MODEL", "the file holds weights (safetensors) and not what computes with them", _EXPORTED
    ),
    "gguf": Reason("NOT_A_MODEL", "the file is a language model's (GGUF)", _EXPORTED),
    "tflite": Reason("NOT_A_MODEL", "the file is TensorFlow Lite's", _EXPORTED),
    "pmml": Reason("NOT_A_MODEL", "the file is PMML", _EXPORTED),
    "json": Reason("NOT_A_MODEL", "the file is JSON, and no model of XGBoost's", _SAVE),
    "a_text": Reason("NOT_A_MODEL", "the file is text, and no model", _SAVE),
    "an_array": Reason("NOT_A_MODEL", "the file holds NumPy's arrays, and no model", _SAVE),
    "a_table": Reason(
        "NOT_A_MODEL", "the file is a Parquet table", "name the model's file; tables go to --train and --holdout"
    ),
    "a_program": Reason("NOT_A_MODEL", "the file is a program or a script", _SAVE),
    "a_document": Reason("NOT_A_MODEL", "the file is a document", _SAVE),
    "a_database": Reason("NOT_A_MODEL", "the file is a database", _SAVE),
    "packed_folder": Reason(
        "NOT_A_MODEL", "the file is an MLflow model's folder, packed", "unpack it and name the folder"
    ),
    "a_zip": Reason("NOT_A_MODEL", "the file is a zip archive of nothing we know", _SAVE),
    "graph_by_another_name": Reason("NOT_A_MODEL", "the file is an ONNX graph by its content", "name it .onnx"),
    "bomb": Reason("TOO_LARGE", "the file unpacks to more than a model of its size may"),
    "not_a_pickle": Reason("NOT_A_MODEL", "the pickle cannot be followed to its end", _SAVE),
    "unreadable": Reason("NOT_A_MODEL", "the file cannot be read as joblib or pickle ({kind})", _SAVE),
    "name_not_allowed": Reason("UNSAFE_ARTIFACT", "the model asked for a name no model may ask for", _UNSAFE),
    "missing_module": Reason(
        "MISSING_MODULE", "the model needs a module that is not installed here", "save it with the versions used here"
    ),
    "missing_library": Reason(
        "MISSING_MODULE",
        "the model needs {first}, which is not installed here",
        "install it: pip install 'modelmark[{extra}]', or the library itself",
    ),
    "not_an_estimator": Reason(
        "NOT_A_MODEL", "the file holds no scikit-learn estimator ({first})", "save the fitted pipeline itself"
    ),
    "none_inside": Reason(
        "NOT_A_MODEL",
        "the file holds no scikit-learn estimator, but {names}",
        "save the fitted pipeline itself",
    ),
    "several_inside": Reason(
        "NOT_A_MODEL",
        "the file holds several estimators: {names}",
        "save the one that answers: joblib.dump(saved[…], 'model.joblib')",
    ),
    "in_parts": Reason(
        "NOT_A_MODEL",
        "the file holds a pipeline in parts ({rest}), of which only {first} predicts; how they follow each other it does not say",
        "save them as one: joblib.dump(make_pipeline(…, model), 'model.joblib')",
    ),
    "other_version": Reason(
        "OTHER_VERSION",
        "the model was saved with scikit-learn {first}, and {here}, which is installed here, cannot open or ask it ({kind})",
        "fit it again with the version installed here, or export it to ONNX where its own is, and give that file",
    ),
    "no_probabilities": Reason(
        "NO_PROBABILITIES",
        "{names} gives no probabilities",
        "wrap it in CalibratedClassifierCV, or fit SVC with probability=True",
    ),
    "hard_votes": Reason(
        "NO_PROBABILITIES", "{first} decides by hard votes and gives no probabilities", "fit it with voting='soft'"
    ),
    "outlier_detector": Reason(
        "WRONG_TASK",
        "{first} tells outliers from the rest and learned no target, so nothing here can be measured on labels",
        _SUPERVISED,
    ),
    "clusterer": Reason(
        "WRONG_TASK",
        "{first} finds clusters and learned no target, so nothing here can be measured on labels",
        _SUPERVISED,
    ),
    "predicts_nothing": Reason(
        "WRONG_TASK", "{names} only transforms: it predicts nothing", "save the whole pipeline, with its last step"
    ),
    "no_target": Reason("WRONG_TASK", "{first} is neither a classifier nor a regressor", _SUPERVISED),
    "not_fitted": Reason("NOT_A_MODEL", "{names} was never fitted", "fit it, then save it"),
    "several_targets": Reason(
        "WRONG_TASK", "{first} answers {a} targets a row; one answer a row is needed", "save one model a target"
    ),
    "rare_merged": Reason(
        "CONVERSION_FAILED",
        "{first} merges rare categories (min_frequency or max_categories), which ONNX cannot do",
        _ELSEWHERE,
    ),
    "adds_indicators": Reason(
        "CONVERSION_FAILED",
        "{first} adds columns that say what was missing (add_indicator), which cannot be converted",
        _ELSEWHERE,
    ),
    "own_function": Reason(
        "CONVERSION_FAILED",
        "{names}: a step calls a function that is none of NumPy's plain ones (log1p, sqrt, exp, absolute …)",
        _ELSEWHERE,
    ),
    "text_analyzer": Reason(
        "CONVERSION_FAILED",
        "{first} cuts texts by 'char_wb' or by a function, which ONNX cannot do",
        "use analyzer='word'",
    ),
    "isotonic_steps": Reason(
        "CONVERSION_FAILED",
        "{first} joins the steps of an isotonic curve by lines, where its conversion takes the nearest step",
        "calibrate with method='sigmoid', or let it run as itself",
    ),
    "strips_accents": Reason(
        "CONVERSION_FAILED",
        "{first} strips accents, which ONNX cannot do",
        "fit it with strip_accents=None, or strip them before",
    ),
    "own_tokens": Reason(
        "CONVERSION_FAILED", "{first} has a preprocessor or tokenizer of its own, which ONNX cannot call", _ELSEWHERE
    ),
    "stop_words": Reason(
        "CONVERSION_FAILED",
        "{first} leaves out stop words before it counts groups of words, which ONNX cannot do",
        "fit it without stop_words, or with ngram_range=(1, 1)",
    ),
    "no_python": Reason(
        "NOT_A_MODEL", "{first} is no Python that can be compiled (line {a})", "mend it, and try again"
    ),
    "module_name_taken": Reason(
        "NOT_A_MODEL", "{first} is also the name of an installed module, which would be imported instead", "rename it"
    ),
    "code_needs": Reason(
        "MISSING_MODULE",
        "the model's code imports {first}, which is neither installed here nor beside it",
        "install it, or put it into the folder",
    ),
    "code_failed": Reason(
        "MODEL_FAILED",
        "{first} raises {kind} in line {a} when it is imported",
        "run `python -c 'import …'` in its folder",
    ),
    "no_such_object": Reason(
        "NOT_A_MODEL", "the model's code defines no {first}", "name a class, a function or an object in it"
    ),
    "several_models": Reason("NOT_A_MODEL", "several objects in it can predict: {names}", "name the one: FILE.py:NAME"),
    "predicts_nothing_own": Reason(
        "NOT_A_MODEL",
        "nothing in {first} can predict",
        "give it a class with predict(self, frame), or a function predict(frame)",
    ),
    "own_labels": Reason(
        "NO_PROBABILITIES",
        "{first} must answer {a} probabilities a row, as floats, a column for each class in the contract's order; it answers {b}"
        " numbers a row, or labels",
        "give it predict_proba(frame)",
    ),
    "own_numbers": Reason("WRONG_TASK", "{first} must answer a number for each row", "look at what predict returns"),
    "own_rows": Reason(
        "MODEL_FAILED", "{first} answers {a} rows of {b}", "answer each row that it is given, in their order"
    ),
    "is_a_classifier": Reason("WRONG_TASK", "{names} is a classifier, but model.task says regression"),
    "is_a_regressor": Reason("WRONG_TASK", "{names} is a regressor, but model.task asks for classes"),
    "classes_differ": Reason(
        "CLASSES_DIFFER",
        "the model's classes are {names}; outputs.classes says otherwise",
        "write the model's classes, in the model's order, in outputs.classes",
    ),
    "columns_differ": Reason(
        "COLUMNS_DIFFER", "the model learned the columns {names}; inputs differ at number {a}", _NAMES
    ),
    "column_count": Reason("COLUMNS_DIFFER", "the model takes {a} columns; inputs lists {b}", _NAMES),
    "cannot_answer": Reason(
        "MODEL_FAILED",
        "{names} cannot answer the holdout table ({kind})",
        "check that inputs have the names and types the model was fitted on",
    ),
    "not_one_answer": Reason("WRONG_TASK", "the model answers {a} numbers a row; one answer a row is needed"),
    "not_convertible": Reason("CONVERSION_FAILED", "{names} cannot be converted to ONNX ({kind})", _EXPORT),
    "not_a_graph": Reason("NOT_A_MODEL", "this is not an ONNX model ({kind})"),
    "foreign_operators": Reason("CUSTOM_OPERATOR", "the model uses operators outside the standard"),
    "outside_tensors": Reason(
        "EXTERNAL_DATA", "a tensor is kept in another file", "save the model with its weights inside"
    ),
    "graph_inputs": Reason("COLUMNS_DIFFER", "the graph takes {a} inputs, {names}; the contract lists {b} others"),
    "graph_takes_numbers": Reason(
        "COLUMNS_DIFFER",
        "the graph takes one matrix of numbers; {names} hold text",
        "delete them, or give them a number's type",
    ),
    "graph_takes_texts": Reason(
        "COLUMNS_DIFFER",
        "the graph takes one matrix of texts; {names} hold numbers",
        "give them type category or string",
    ),
    "graph_type": Reason("CONVERSION_FAILED", "a graph input ({names}) has an element type we do not feed"),
    "graph_list": Reason(
        "CONVERSION_FAILED",
        "the graph answers a list of dictionaries instead of a tensor",
        "convert with the option zipmap=False",
    ),
    "graph_no_numbers": Reason("CONVERSION_FAILED", "the graph has no output of floating-point numbers"),
    "graph_signature": Reason("CONVERSION_FAILED", "the graph takes other inputs than the signature feeds"),
    "graph_width": Reason("CONVERSION_FAILED", "the graph answers {a} numbers a row; {b} are needed"),
    "graph_failed": Reason("CONVERSION_FAILED", "the graph cannot run on the holdout ({kind})"),
    "slow_row": Reason("TOO_SLOW", "one row takes longer than {a} s", error=TimedOut),
}


def decoded(data: bytes, form: type[Form]) -> Form | None:
    """The answer when it has its form, else None; a child that answers nonsense has answered nothing."""
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.DecodeError, RecursionError):
        return None


def known(texts: Sequence[str], vocabulary: Collection[str]) -> list[str]:
    """The texts, with a fixed word in place of each that the parent did not know before; a small number says nothing."""
    ours = libraries.KNOWN.keys()
    return [
        text if text in vocabulary or text in ours or re.fullmatch("[0-9]{1,6}", text) else UNKNOWN for text in texts
    ]


def refusal(answer: Answer | Scanned, vocabulary: Collection[str], limit: str | None = None) -> ModelmarkError:
    """The error that a child's reason stands for, in our words. An unknown reason is a crash."""
    reason = REASONS.get(answer.reason)
    if reason is None:
        return Rejected("the converter gave an answer that is none", code="CRASHED")
    names = known(answer.names[:20], vocabulary)
    a, b = ([*answer.numbers[:2], 0, 0])[:2]
    said = reason.template.format(
        kind=answer.kind if answer.kind in KINDS else "Exception",
        names=", ".join(names) or UNKNOWN,
        first=names[0] if names else UNKNOWN,
        rest=", ".join(names[1:]) or UNKNOWN,
        here=importlib.metadata.version("scikit-learn"),
        a=a,
        b=b,
    )
    extra = libraries.KNOWN[names[0]].extra if names and names[0] in libraries.KNOWN else "boosters"
    hint = reason.hint.replace("{extra}", extra)
    return reason.error(said, code=reason.code, hint=hint or None, limit=limit)


def plain_parameters(found: dict[str, Any], vocabulary: Collection[str]) -> dict[str, str]:
    """Settings to record: numbers as they are, texts and names only when the parent knows them."""
    return {
        name: str(value)
        for name, value in found.items()
        if name in vocabulary and (not isinstance(value, str) or value in vocabulary)
    }
