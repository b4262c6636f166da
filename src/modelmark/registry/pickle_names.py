"""The names a pickle may ask for: a closed list, held before anything is opened and again at each import.

What estimators of scikit-learn and of `libraries` need, and nothing else: no function that opens, runs, imports or looks up by
name.
Standard library only at import; it runs in the child and in the clean child that reads pickles without opening them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from modelmark.registry import libraries
from modelmark.registry.words import words


def _names(module: str, text: str) -> frozenset[tuple[str, str]]:
    return frozenset((module, name) for name in text.split())


_PLAIN: Final = "bool int float complex str bytes bytearray list tuple dict set frozenset slice range object"
_RECONSTRUCT: Final = "_reconstruct scalar _frombuffer"
_SPARSE: Final = "csr csc coo bsr dia dok lil"

#: Names outside scikit-learn. Both spellings of a module that was renamed, for files of earlier years.
_ELSEWHERE: Final = frozenset().union(
    *(_names(module, _PLAIN + " unicode long") for module in ("builtins", "__builtin__")),
    *(_names(module, "_reconstructor") for module in ("copyreg", "copy_reg")),
    _names("collections", "OrderedDict defaultdict Counter deque"),
    _names("_codecs", "encode"),
    _names("datetime", "date datetime time timedelta timezone"),
    _names("joblib.numpy_pickle", "NumpyArrayWrapper"),
    _names("numpy", "ndarray dtype mean median nan_to_num"),
    *(_names(f"numpy.{core}.{part}", _RECONSTRUCT) for core in ("core", "_core") for part in ("multiarray", "numeric")),
    _names("numpy.ma", "MaskedArray"),
    _names("numpy.ma.core", "MaskedArray _mareconstruct"),
    _names("numpy.random._mt19937", "MT19937"),
    _names("numpy.random._pcg64", "PCG64"),
    _names("numpy.random._pickle", "__bit_generator_ctor __generator_ctor __randomstate_ctor"),
    _names("numpy.random.bit_generator", "SeedSequence __pyx_unpickle_SeedSequence"),
    # Columns chosen as `X.select_dtypes("number").columns` or `X.dtypes == object` are pandas objects in a pipeline.
    _names("pandas", "Index RangeIndex Series StringDtype"),
    _names("pandas.arrays", "ArrowStringArray"),
    _names("pandas.core.indexes.base", "_new_Index Index"),
    _names("pandas.core.indexes.range", "RangeIndex"),
    _names("pandas.core.series", "Series"),
    _names("pandas.core.arrays.string_", "StringDtype StringArray"),
    _names("pandas.core.arrays.string_arrow", "ArrowStringArray"),
    _names("pandas.core.internals.managers", "SingleBlockManager"),
    _names("pandas.core.internals.blocks", "new_block"),
    _names("pandas._libs.internals", "_unpickle_block"),
    _names("pyarrow.lib", "_restore_array type_for_alias py_buffer"),
    _names("scipy.interpolate._bsplines", "BSpline"),
    _names("scipy._lib.array_api_compat.numpy._aliases", "asarray"),  # how a BSpline of newer years takes its numbers
    *(
        _names(f"scipy.sparse.{prefix}{kind}", f"{kind}_matrix {kind}_array")
        for kind in _SPARSE.split()
        for prefix in ("", "_")
    ),
    _names("sklearn.utils._metadata_requests", "MetadataRequest MethodMetadataRequest"),
    _names("sklearn.utils._bunch", "Bunch"),
    _names("sklearn.utils", "Bunch"),
)

#: Subpackages of scikit-learn that hold estimators and what they are made of: classes of these may be named.
_ESTIMATORS: Final = words(
    "_loss calibration cluster compose covariance cross_decomposition decomposition discriminant_analysis dummy ensemble"
    " feature_extraction feature_selection frozen gaussian_process impute isotonic kernel_approximation kernel_ridge"
    " linear_model manifold metrics mixture model_selection multiclass multioutput naive_bayes neighbors neural_network"
    " pipeline preprocessing random_projection semi_supervised svm tree"
)
#: Subpackages whose functions estimators hold as settings: scores, distances, and what Cython makes to rebuild itself.
_FUNCTIONS: Final = words("cluster feature_selection metrics neighbors")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def allows(module: str, name: str) -> bool:
    """Whether a pickle may ask for this name. Never imports; a dotted name (an attribute of a name) is none."""
    if not _IDENTIFIER.fullmatch(name):
        return False
    if (module, name) in _ELSEWHERE or (module == "numpy" and _is_ufunc_or_scalar(name)):
        return True
    if libraries.allows(module, name):
        return True
    family, _, rest = module.partition(".")
    part = rest.partition(".")[0]
    if family != "sklearn" or part not in _ESTIMATORS or ".tests" in module:
        return False
    is_class = name.lstrip("_")[:1].isupper()
    rebuilds = part == "_loss" and name.startswith("__pyx_unpickle_")  # as versions before 1.4 wrote losses
    return is_class or rebuilds or part in _FUNCTIONS


def is_of(modules: Collection[str], module: str, name: str) -> bool:
    """Whether it is a name of one of these modules, or of a package among them; a dotted name is none."""
    return module.partition(".")[0] in modules and _IDENTIFIER.fullmatch(name) is not None


def _is_ufunc_or_scalar(name: str) -> bool:
    numpy = sys.modules.get("numpy")
    found = getattr(numpy, name, None) if numpy else None
    return found is not None and (isinstance(found, numpy.ufunc) or _is_scalar(numpy, found))  # type: ignore[union-attr]


def _is_scalar(numpy: Any, found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, numpy.generic)


def is_what_it_says(module: str, found: Any) -> bool:
    """Whether the object behind an allowed name is a class or function of that library, not something it imported."""
    if not module.startswith("sklearn."):
        return True
    home = str(getattr(found, "__module__", ""))
    if isinstance(found, type):
        return home.startswith("sklearn.")
    functions = (FunctionType, BuiltinFunctionType)
    return (isinstance(found, functions) or type(found).__name__ == "cython_function_or_method") and home == module


def is_hostile(module: str) -> bool:
    """Whether a name that is not allowed comes from where attacks come from, rather than from somebody's own code."""
    family = module.partition(".")[0]
    if family == "__main__":
        return False  # what somebody wrote in a notebook or a script
    ours = ("numpy", "scipy", "sklearn", "joblib", "pandas", "__builtin__", "copy_reg", "modelmark", "")
    return family in sys.stdlib_module_names or family in ours or family.startswith("_")
