"""Unpickling, in the child only, behind its walls: the single place in Modelmark that does it."""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from modelmark.domain.errors import Rejected
from modelmark.gates.supply_chain import formats, pickled
from modelmark.registry import libraries, pickle_names
from modelmark.registry.original import own_files, skops_files
from modelmark.registry.original.contained import the_estimator
from modelmark.registry.refusal import Refusal, kind_of

#: What a model that another version wrote fails with: an attribute, a module or a layout that one of the two lacks.
_OF_VERSIONS: Final = frozenset({"AttributeError", "ImportError", "ModuleNotFoundError", "TypeError"})

_PRELOADED: Final = (
    "joblib",
    "pandas",
    "pyarrow",
    "sklearn.calibration",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.decomposition",
    "sklearn.discriminant_analysis",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.feature_selection",
    "sklearn.gaussian_process",
    "sklearn.impute",
    "sklearn.isotonic",
    "sklearn.kernel_approximation",
    "sklearn.kernel_ridge",
    "sklearn.linear_model",
    "sklearn.manifold",
    "sklearn.mixture",
    "sklearn.model_selection",
    "sklearn.multiclass",
    "sklearn.multioutput",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.random_projection",
    "sklearn.semi_supervised",
    "sklearn.svm",
    "sklearn.tree",
    "joblib.numpy_pickle",
)
#: What converting needs beside what answering does.
_CONVERTERS: Final = ("skl2onnx", "skl2onnx.sklapi")


def warm_up(*, converters: bool = True) -> None:
    """Load every native library a model of the closed list needs: after arming, none can be loaded any more."""
    import importlib

    for name in (*_PRELOADED, *(_CONVERTERS if converters else ())):
        importlib.import_module(name)
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier

    rows, y_true = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    for model in (HistGradientBoostingClassifier(max_iter=1), KNeighborsClassifier()):
        model.fit(rows, y_true).predict_proba(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a file holds. model: the estimator. taken: the key or position it stood under, empty where it stood alone.
    written_by: the versions of scikit-learn that wrote it, where they are not ours."""

    model: Any
    taken: str
    written_by: tuple[str, ...]

    @contextmanager
    def told_apart(self) -> Iterator[None]:
        """Around whatever asks the model: what an attribute that its version lacked makes fail is that version's fault."""
        try:
            yield
        except Refusal as refusal:
            if not self.written_by or refusal.kind not in _OF_VERSIONS:
                raise
            raise Refusal("other_version", kind=refusal.kind, names=self.written_by) from None


def load(source: str | IO[bytes], modules: Collection[str] = ()) -> Saved:
    """The estimator in a joblib (compressed too), pickle or cloudpickle file, alone or the only one of a container; or in
    skops's, a booster's or a network's own file. modules: its author's own, which it may ask for as well."""
    kept = _own(source)
    if kept is not None:
        return Saved(model=own_files.load(*kept), taken="", written_by=())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            data = skops_files.content(source)
            found = skops_files.load(data) if skops_files.is_one(data) else _open(source, modules)
        except (MemoryError, Refusal):
            raise
        except Exception as error:  # noqa: BLE001 - a damaged pickle may raise anything
            raise _unopened(source, error) from None
    written_by = {
        str(warning.message.original_sklearn_version)  # type: ignore[union-attr]
        for warning in heard
        if type(warning.message).__name__ == "InconsistentVersionWarning"
    }
    model, taken = the_estimator(found)
    return Saved(model=model, taken=taken, written_by=tuple(sorted(written_by)))


def _own(source: str | IO[bytes]) -> tuple[formats.Format, bytes] | None:
    data = Path(source).read_bytes() if isinstance(source, str) else source.read()
    if not isinstance(source, str):
        source.seek(0)
    try:
        kind, _, inside = formats.content_of(data)
    except Rejected:
        return None
    return (kind, inside) if kind in formats.OWN else None


def _unopened(source: str | IO[bytes], error: Exception) -> Refusal:
    """Because another version wrote it, where the file says so; else because of what it is."""
    import sklearn

    written_by = sorted(_versions_in(source) - {sklearn.__version__}) if isinstance(source, str) else []
    if written_by:
        return Refusal("other_version", kind=kind_of(error), names=written_by)
    if isinstance(error, ModuleNotFoundError):
        absent = str(error.name).partition(".")[0]
        return Refusal("missing_library", names=[absent]) if absent in libraries.KNOWN else Refusal("missing_module")
    return Refusal("unreadable", kind=kind_of(error))


def _versions_in(path: str) -> set[str]:
    """What stands behind each `_sklearn_version` of a pickle, without opening it."""
    found, before = set(), ""
    try:
        streams = pickled.read(formats.content(Path(path))[2]).streams
        for stream in streams:
            for _, text, _ in pickletools.genops(stream):
                if isinstance(text, str):
                    if before == "_sklearn_version":
                        found.add(text)
                    before = text
    except Exception:  # noqa: BLE001 - a pickle that cannot be followed says nothing of versions
        return set()
    return found


def _open(source: str | IO[bytes], modules: Collection[str]) -> Any:
    import joblib
    from joblib import numpy_pickle

    plain: Any = getattr(numpy_pickle.NumpyUnpickler, "plain", numpy_pickle.NumpyUnpickler)

    class ClosedList(plain):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            if not (pickle_names.allows(module, name) or pickle_names.is_of(modules, module, name)):
                raise Refusal("name_not_allowed")
            found = super().find_class(module, name)
            if not pickle_names.is_what_it_says(module, found):
                raise Refusal("name_not_allowed")
            return found

    ClosedList.plain = plain  # what another file, with other modules, is held by
    numpy_pickle.NumpyUnpickler = ClosedList
    return joblib.load(source)
