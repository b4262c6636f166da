"""Tables to tensors and tensors to scores, as a version's signature says. Runs in the child."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NUMPY: Final = {"float32": "float32", "float64": "float64", "int64": "int64", "bool": "bool"}


def load_frame(path: str) -> pd.DataFrame:
    """A table that the parent wrote for us."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
    return frame


def write_array(file: IO[bytes], values: np.ndarray) -> None:
    import numpy as np

    np.save(file, values, allow_pickle=False)


def session(model: bytes) -> Any:
    """An ONNX Runtime session on one thread, from bytes: no file beside the model can be reached."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feeds_of(frame: pd.DataFrame, signature: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """One array of shape (rows, columns) per graph input. Null is NaN in numbers and "" in text."""
    import numpy as np
    import pandas as pd

    feeds = {}
    for feed in signature["feeds"]:
        columns = []
        for name in feed["columns"]:
            column = frame[name]
            if feed["dtype"] == "string":
                texts = column.astype(object).where(column.notna(), "").map(str)
                columns.append((texts.str.lower() if feed.get("lower") else texts).to_numpy(dtype=object))
            else:
                numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
                columns.append(numbers.astype(_NUMPY[feed["dtype"]]))
        feeds[feed["graph_input"]] = np.column_stack(columns)
    return feeds


def run(session: Any, frame: pd.DataFrame, signature: Mapping[str, Any], rows_per_run: int = 10_000) -> np.ndarray:
    """float64 scores of shape (rows, classes), or (rows, 1) for regression."""
    import numpy as np

    parts = []
    for start in range(0, len(frame), rows_per_run):
        feeds = feeds_of(frame.iloc[start : start + rows_per_run], signature)
        part = np.asarray(session.run([signature["score_output"]], feeds)[0], dtype=np.float64)
        parts.append(part.reshape(len(part), -1))
    return np.concatenate(parts)
