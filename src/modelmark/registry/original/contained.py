"""The estimator of a file that holds it in a dict, a list or a tuple, as people save it beside its columns and scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelmark.registry.refusal import Refusal


def the_estimator(found: Any) -> tuple[Any, str]:
    """(the one estimator, the key or position it stood under; empty where it stood alone).

    Raises Refusal, naming the keys, where there is none among several things or more than one; what is no container is
    handed back as it is.
    """
    if hasattr(found, "get_params") or not isinstance(found, (dict, list, tuple)):
        return found, ""
    inside = list(_items(found))
    estimators = [(key, value) for key, value in inside if hasattr(value, "get_params") and not isinstance(value, type)]
    if len(estimators) == 1:
        return estimators[0][1], estimators[0][0]
    if not estimators:
        raise Refusal("none_inside", names=[key for key, _ in inside[:10]])
    predicting = [(key, value) for key, value in estimators if hasattr(value, "predict")]
    if len(predicting) == 1 and isinstance(found, dict):
        raise Refusal("in_parts", names=[predicting[0][0], *(key for key, _ in estimators[:10])])
    raise Refusal("several_inside", names=[key for key, _ in estimators[:10]])


def _items(found: Any) -> Iterator[tuple[str, Any]]:
    pairs = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in pairs:
        yield str(key)[:100], value
