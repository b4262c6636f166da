"""What cannot answer at all, or cannot be converted, said of the very part before anything is tried; and what only has to be
asked for otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from modelmark.registry.original.functions import knows
from modelmark.registry.original.parts import nested
from modelmark.registry.refusal import Refusal

#: (kinds of estimator, whether one of them will not do, the reason in `answers.REASONS`).
_Row = tuple[tuple[str, ...], Callable[[Any], bool], str]
_WORDS: Final = ("CountVectorizer", "TfidfVectorizer")
_OUTLIERS: Final = ("IsolationForest", "OneClassSVM", "LocalOutlierFactor", "EllipticEnvelope", "SGDOneClassSVM")
#: Whatever runs it.
NEVER: Final[tuple[_Row, ...]] = (
    (("VotingClassifier",), lambda it: it.voting == "hard", "hard_votes"),
    (_OUTLIERS, lambda it: True, "outlier_detector"),
)
#: By a graph.
ROWS: Final[tuple[_Row, ...]] = (
    (("OneHotEncoder",), lambda it: bool(getattr(it, "_infrequent_enabled", False)), "rare_merged"),
    (("SimpleImputer",), lambda it: bool(it.add_indicator), "adds_indicators"),
    (("FunctionTransformer",), lambda it: not knows(it), "own_function"),
    (("CalibratedClassifierCV",), lambda it: it.method == "isotonic", "isotonic_steps"),
    (("IsotonicRegression",), lambda it: True, "isotonic_steps"),
    (_WORDS, lambda it: it.analyzer == "char_wb" or callable(it.analyzer), "text_analyzer"),
    (_WORDS, lambda it: it.strip_accents is not None, "strips_accents"),
    (_WORDS, lambda it: it.preprocessor is not None or it.tokenizer is not None, "own_tokens"),
    (_WORDS, lambda it: bool(it.stop_words) and it.ngram_range[1] > 1, "stop_words"),
)


def require_answers(model: Any) -> None:
    """Raises Refusal for the first part, however deep, of which it is known that it gives none of the answers needed here."""
    _require(model, NEVER)


def require_convertible(model: Any) -> None:
    """Raises Refusal for the first part, however deep, of which it is known that no conversion is right."""
    _require(model, (*NEVER, *ROWS))


def _require(model: Any, rows: tuple[_Row, ...]) -> None:
    for part in nested(model):
        kind = type(part).__name__
        for kinds, wrong, reason in rows:
            if kind in kinds and wrong(part):
                raise Refusal(reason, names=[kind, *_named(part)])


def _named(part: Any) -> Iterator[str]:
    function = getattr(part, "func", None)
    if function is not None:
        yield str(getattr(function, "__name__", type(function).__name__))[:200]


def ask_plainly(model: Any) -> None:
    """Change a copy: settings that decide the form of an answer between steps and nothing else."""
    for part in nested(model):
        kind = type(part).__name__
        if kind == "VotingClassifier":
            part.flatten_transform = False
        elif kind == "OneHotEncoder" and _merges_nothing(part):
            part.handle_unknown = "ignore"
        elif kind == "KBinsDiscretizer" and part.encode == "onehot":
            part.encode = "onehot-dense"


def _merges_nothing(encoder: Any) -> bool:
    """Whether `infrequent_if_exist` comes to `ignore`: no category was infrequent."""
    return encoder.handle_unknown == "infrequent_if_exist" and not getattr(encoder, "_infrequent_enabled", False)
