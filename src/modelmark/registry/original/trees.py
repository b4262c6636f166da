"""What trees know and their converter forgets: where a missing value goes, and thresholds that are no finite number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from modelmark.registry.original.parts import PARTS


def finite_thresholds(models: Iterable[Any]) -> None:
    """Change copies: a split into "missing" and "there" has the threshold infinity, on which skl2onnx computes for ever when
    inputs are doubles; the largest float32 parts every number alike."""
    import numpy as np

    largest = float(np.finfo(np.float32).max)
    for tree in _trees(models):
        np.clip(tree.threshold, -largest, largest, out=tree.threshold)


def route_missing(graph: Any, models: Iterable[Any]) -> None:
    """Change a converted graph: each of its trees that is one of the models' sends missing values where that one does.

    A tree is known again by its shape and features; those that are alike are taken in their order.
    """
    import numpy as np
    from onnx import helper

    known: dict[tuple[bytes, bytes], list[Any]] = {}
    for tree in _trees(models):
        known.setdefault(_tree_shape(tree.children_left, tree.feature), []).append(tree.missing_go_to_left)
    for node in graph.node if known else ():
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        had = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        owner, branch = np.array(had["nodes_treeids"]), np.array([mode != b"LEAF" for mode in had["nodes_modes"]])
        left = np.where(branch, had["nodes_truenodeids"], -1)
        feature = np.where(branch, had["nodes_featureids"], -2)  # as scikit-learn writes a leaf
        routed = np.array(had.get("nodes_missing_value_tracks_true") or np.zeros(len(owner)), dtype=np.int64)
        for one in dict.fromkeys(had["nodes_treeids"]):
            of_one = owner == one
            if alike := known.get(_tree_shape(left[of_one], feature[of_one])):
                routed[of_one] = (alike.pop(0) if len(alike) > 1 else alike[0]) & branch[of_one]
        kept = [item for item in node.attribute if item.name != "nodes_missing_value_tracks_true"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("nodes_missing_value_tracks_true", routed.tolist())])


def _tree_shape(left: Any, feature: Any) -> tuple[bytes, bytes]:
    import numpy as np

    return np.asarray(left, np.int64).tobytes(), np.asarray(feature, np.int64).tobytes()


def _trees(models: Iterable[Any]) -> Iterator[Any]:
    """In the order in which they are converted, each once."""
    seen: set[int] = set()
    waiting = list(models)
    while waiting:
        model = waiting.pop(0)
        if id(model) in seen or isinstance(model, str):
            continue
        seen.add(id(model))
        if hasattr(model, "tree_"):
            yield model.tree_
        for name in PARTS:
            part: Any = getattr(model, name, None)
            part = part.ravel().tolist() if hasattr(part, "ravel") else part
            parts = part if isinstance(part, (list, tuple)) else [part]
            waiting += [each for each in parts if hasattr(each, "__dict__")]
