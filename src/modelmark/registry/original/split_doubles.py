"""Splits in double: scikit-learn's histogram trees compare float64 with float64, their converter writes float32.

The graph's trees keep their form; thresholds and leaves become the tensors of doubles that the operator knows, and its float32
answer is cast to what the graph around it expects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

_TREES: Final = "TreeEnsemble"
#: Of the operator's attributes, those that may be doubles.
_NUMBERS: Final = ("nodes_values", "class_weights", "target_weights", "base_values")
#: From this version of the machine learning operators on.
_SINCE: Final = 3


def in_double(graph: Any, models: Iterable[Any]) -> None:
    """Change a converted graph whose inputs are doubles: each of its ensembles that is one of the models' splits as that does.

    graph: the whole model. An ensemble is known by its features and its thresholds' float32.
    """
    from onnx import helper

    known = list(_thresholds(models))
    changed = False
    for node in list(graph.graph.node) if known else ():
        if not node.op_type.startswith(_TREES):
            continue
        had = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        found = next((values for features, values in known if _are(features, values, had)), None)
        if found is None:
            continue
        _write(node, had, found)
        _cast(graph.graph, node)
        changed = True
    for domain in graph.opset_import if changed else ():
        if domain.domain == "ai.onnx.ml":
            domain.version = max(domain.version, _SINCE)


def has_histograms(models: Iterable[Any]) -> bool:
    return any(True for _ in _thresholds(models))


def _thresholds(models: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """(features, thresholds) of the nodes of every histogram ensemble, as the converter numbers them; 0 at a leaf."""
    import numpy as np

    for model in models:
        trees = [tree.nodes for stage in getattr(model, "_predictors", ()) for tree in stage]
        if trees and all("num_threshold" in (nodes.dtype.names or ()) for nodes in trees):
            nodes = np.concatenate(trees)
            leaf = nodes["is_leaf"].astype(bool)
            yield np.where(leaf, 0, nodes["feature_idx"]), np.where(leaf, 0.0, nodes["num_threshold"])


def _are(features: Any, values: Any, had: dict[str, Any]) -> bool:
    import numpy as np

    if len(had.get("nodes_values", ())) != len(values):
        return False
    branch = np.array([mode != b"LEAF" for mode in had["nodes_modes"]])
    ours, theirs = (np.where(branch, part, 0) for part in (features, had["nodes_featureids"]))
    written = np.where(branch, had["nodes_values"], 0)
    return bool((ours == theirs).all()) and np.allclose(np.where(branch, values, 0), written, rtol=1e-6, atol=1e-30)


def _write(node: Any, had: dict[str, Any], values: Any) -> None:
    import numpy as np
    from onnx import helper, numpy_helper

    kept = [item for item in node.attribute if item.name not in _NUMBERS]
    doubles = {name: np.array(had[name], np.float64) for name in _NUMBERS if name in had}
    doubles["nodes_values"] = np.asarray(values, np.float64)
    del node.attribute[:]
    node.attribute.extend(kept)
    for name, numbers in doubles.items():
        node.attribute.append(helper.make_attribute(f"{name}_as_tensor", numpy_helper.from_array(numbers, name)))


def _cast(graph: Any, node: Any) -> None:
    """Its scores, always float32, as the doubles that the graph's types say."""
    from onnx import TensorProto, helper

    at, name = len(node.output) - 1, node.output[-1]
    node.output[at] = f"{name}_float"
    place = list(graph.node).index(node)
    graph.node.insert(place + 1, helper.make_node("Cast", [f"{name}_float"], [name], to=TensorProto.DOUBLE))
