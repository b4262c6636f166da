"""What becomes of a table's answers: parts beside the file that is wanted, each kept whole once it is journaled, and put
together at the end. What was cut short goes on after the last part that is whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.classes import class_text
from modelmark.domain.errors import Conflict, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.seal.files import replace_file
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute
from modelmark.serving.tables.scoring import Ran, Scored

if TYPE_CHECKING:
    import pyarrow as pa

JOB: Final = "job.json"
#: Columns beside those of the classes, in their order.
OURS: Final = (
    "row", "prediction_id", "prediction_row", "prediction", "score", "served_by", "version", "flags",
    "error_code", "error_field", "error",
)  # fmt: skip
COUNTED: Final = ("row", "prediction_row")
FORMATS: Final = (".parquet", ".csv")


class Job(msgspec.Struct, frozen=True):
    """What is being answered, and how it is cut: what goes on must be the same. table: its digest."""

    table: str
    version: str
    part_rows: int
    keep: list[str]


class Form:
    """How answers become columns."""

    def __init__(self, route: LiveRoute, keep: Sequence[str]) -> None:
        """Raises Rejected where a column that is to be kept has the name of one of ours."""
        self._version = route.champion
        contracts = [one.contract for one in route.versions]
        self._classes = [value for contract in contracts for value in contract.outputs.classes]
        self._regression = contracts[0].model.task is Task.REGRESSION
        self.keep = list(keep)
        self.probabilities = [f"probability_{text}" for text in dict.fromkeys(map(class_text, self._classes))]
        ours = [name for name in OURS if not (self._regression and name == "score")]
        self.columns = [*ours[: ours.index("served_by")], *self.probabilities, *ours[ours.index("served_by") :]]
        taken = next((name for name in self.keep if name in self.columns), None)
        if taken is not None:
            raise Rejected(
                f"the column {taken!r} cannot be kept: the answers have one of that name", code="COLUMN_TAKEN",
                field="--keep", limit="other names than " + ", ".join(self.columns),
            )  # fmt: skip

    def table(self, part: pa.Table, first: int, scored: Scored) -> pa.Table:
        """A row for each of the part's. first: the number of its first row in the whole table."""
        import pyarrow as pa

        kinds = self._kinds()
        made = {name: _column(name, kinds[name], len(part)) for name in self.columns}
        made["row"].put(slice(None), np.arange(first, first + len(part)))
        for run in scored.runs:
            self._ran(made, run)
        for at, answer in scored.fallbacks.items():
            for name, value in self._stood_in(answer).items():
                made[name].put(at, value)
        for at, flags in scored.flags.items():
            made["flags"].put(at, "; ".join(f"{name} {flag}" for _, name, flag in flags))
        for at, error in scored.refused.items():
            for name, value in (("error_code", error.code), ("error_field", error.field), ("error", error.message)):
                made[name].put(at, value)
        found = pa.table({name: values.array(kinds[name]) for name, values in made.items()})
        for at, name in enumerate(self.keep):
            found = found.add_column(at, part.schema.field(name), part[name])
        return found

    def _kinds(self) -> dict[str, pa.DataType]:
        import pyarrow as pa

        kinds: dict[str, Any] = dict.fromkeys(self.columns, pa.string())
        kinds |= dict.fromkeys(("score", *self.probabilities), pa.float64())
        prediction = pa.float64() if self._regression else _kind(self._classes)
        return kinds | {"row": pa.int64(), "prediction_row": pa.int64(), "prediction": prediction}

    def _ran(self, made: dict[str, _Column], run: Ran) -> None:
        version, at = self._version, run.at
        made["prediction_id"].put(at, run.id)
        made["prediction_row"].put(at, np.arange(len(at)))
        made["served_by"].put(at, str(ServedBy.MODEL))
        made["version"].put(at, version.label)
        if self._regression:
            made["prediction"].put(at, run.scores[:, 0])
            return
        for place, name in enumerate(version.contract.outputs.classes):
            made["prediction"].put(at[run.decided == place], name)
        chosen = version.decide.positive if version.decide.binary else run.decided
        made["score"].put(at, run.scores[np.arange(len(at)), chosen])
        for place, text in enumerate(version.classes):
            made[f"probability_{text}"].put(at, run.scores[:, place])

    def _stood_in(self, answer: Answer) -> dict[str, Any]:
        version = answer.version
        found: dict[str, Any] = {
            "prediction_id": answer.id,
            "prediction_row": 0,
            "served_by": str(answer.served_by),
            "version": version.label,
        }
        if answer.served_by is ServedBy.REVIEW:
            return found
        if self._regression:
            return found | {"prediction": answer.scores[0]}
        found |= {"prediction": version.contract.outputs.classes[answer.decided[0]]}
        if answer.served_by is not ServedBy.CONSTANT:
            found |= {f"probability_{text}": p for text, p in zip(version.classes, answer.scores, strict=True)}
            found["score"] = answer.scores[version.decide.positive if version.decide.binary else answer.decided[0]]
        return found


_Places = int | slice | NDArray[np.intp]


class _Column(Protocol):
    """A column that is put together, null where nothing was put."""

    def put(self, at: _Places, value: Any) -> None: ...
    def array(self, kind: pa.DataType) -> pa.Array: ...


class _Numbers:
    """Implements `_Column`: finite numbers."""

    def __init__(self, rows: int) -> None:
        self._values = np.full(rows, np.nan)

    def put(self, at: _Places, value: Any) -> None:
        self._values[at] = value

    def array(self, kind: pa.DataType) -> pa.Array:
        import pyarrow as pa

        return pa.array(self._values, kind, from_pandas=True)


class _Counts:
    """Implements `_Column`: whole numbers from 0."""

    def __init__(self, rows: int) -> None:
        self._values = np.full(rows, -1, np.int64)

    def put(self, at: _Places, value: Any) -> None:
        self._values[at] = value

    def array(self, kind: pa.DataType) -> pa.Array:
        import pyarrow as pa

        return pa.array(self._values, kind, mask=self._values < 0)


class _Few:
    """Implements `_Column`: values of which there are few."""

    def __init__(self, rows: int) -> None:
        self._codes = np.full(rows, -1, np.int32)
        self._values: dict[tuple[type, object], int] = {}

    def put(self, at: _Places, value: Any) -> None:
        if value is not None:
            self._codes[at] = self._values.setdefault((type(value), value), len(self._values))

    def array(self, kind: pa.DataType) -> pa.Array:
        import pyarrow as pa

        values = np.empty(len(self._values), object)
        values[:] = [value for _, value in self._values]
        return pa.array(values, kind).take(pa.array(self._codes, mask=self._codes < 0))


def _column(name: str, kind: pa.DataType, rows: int) -> _Column:
    import pyarrow as pa

    if name in COUNTED:
        return _Counts(rows)
    return _Numbers(rows) if pa.types.is_float64(kind) else _Few(rows)


def _kind(classes: Sequence[object]) -> pa.DataType:
    import pyarrow as pa

    for kind, found in ((bool, pa.bool_()), (int, pa.int64())):
        if all(type(value) is kind for value in classes):
            return found
    return pa.string()


class _Joined:
    """Parts in one file, each written as it becomes whole, so that little is left to do at the end."""

    def __init__(self, path: Path, schema: pa.Schema, *, csv: bool) -> None:
        import pyarrow as pa
        import pyarrow.csv as arrow
        import pyarrow.parquet as pq

        self._schema, self._file = schema, path.open("wb")
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        counted = dict.fromkeys(set(COUNTED) & set(schema.names), "DELTA_BINARY_PACKED")
        if csv:
            self._writer = arrow.CSVWriter(self._file, schema)
        else:
            self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=texts, column_encoding=counted)
        self._counts = {"served_by": Counter[str](), "error_code": Counter[str]()}

    def write(self, part: pa.Table) -> None:
        self._writer.write_table(part.cast(self._schema))
        for name, counter in self._counts.items():
            for found in part[name].drop_null().value_counts().to_pylist():
                counter[found["values"]] += found["counts"]

    def close(self) -> Mapping[str, Mapping[str, int]]:
        """On disk. How many rows there are by `served_by` and by `error_code`."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._counts


class Output:
    """The folder of parts beside a file. done: parts that are whole. doubtful: the last id of a part that was written, of
    which it is not known whether it was journaled; None where there is none."""

    def __init__(self, out: Path, folder: Path, job: Job, *, again: bool) -> None:
        """again: begin anew, whatever lies there. Raises Conflict where another job's parts lie there."""
        self.out, self._folder = out, folder
        self._scratch = folder / f".joined{out.suffix.lower()}"
        self._prepared: pa.Table | None = None
        self._joined: _Joined | None = None
        if again:
            for path in folder.iterdir():
                path.unlink()
        begun = self._begun()
        if begun is None:
            replace_file(self._folder / JOB, msgspec.json.encode(job))
        elif begun != job:
            raise Conflict(
                f"{self._folder.name} holds parts of {_other(begun, job)}", code="OTHER_JOB", field="--out",
                limit="the same table, version and columns", hint="say --again to begin anew, or give another --out",
            )  # fmt: skip
        self.done = sum(1 for _ in self._whole())

    @classmethod
    @contextmanager
    def opened(cls, out: Path, job: Job, *, again: bool = False) -> Iterator[Self]:
        """One at a time. Raises as making one does, and Conflict while another process writes the same file."""
        if out.suffix.lower() not in FORMATS:
            raise Rejected(
                f"{out.name} says no format", code="UNKNOWN_FORMAT", field="--out", limit=" or ".join(FORMATS)
            )
        folder = out.with_name(f"{out.name}.parts")
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield cls(out, folder, job, again=again)
        except BlockingIOError:
            raise Conflict(
                f"{out.name} is being written by another process", code="BUSY", field="--out", limit="one at a time"
            ) from None
        finally:
            os.close(descriptor)

    @property
    def doubtful(self) -> str | None:
        import pyarrow.parquet as pq

        path = self._hidden(self.done)
        if not path.exists():
            return None
        ids: list[str] = pq.read_table(path, columns=["prediction_id"])["prediction_id"].drop_null().to_pylist()
        return ids[-1] if ids else None

    def prepare(self, table: pa.Table) -> None:
        """The next part, on disk, not yet whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        path = self._hidden(self.done)
        with path.open("wb") as file:  # soon read and thrown away, so it may be large
            pq.write_table(table, file, compression="none", use_dictionary=texts, write_statistics=False)
            file.flush()
            os.fsync(file.fileno())
        self._prepared = table

    def keep(self) -> None:
        """What was prepared is whole: it is journaled."""
        self._hidden(self.done).rename(self._part(self.done))
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.done += 1
        if self._prepared is not None:
            self._join().write(self._prepared)
        self._prepared = None

    def finish(self) -> Mapping[str, Mapping[str, int]]:
        """The parts in place of the file, in one step. How many rows there are by `served_by` and by `error_code`."""
        counts = self._join().close()
        self._scratch.replace(self.out)
        shutil.rmtree(self._folder)
        return counts

    def _join(self) -> _Joined:
        """The file that is wanted, as far as it is; begun with the parts that were whole before and not prepared here."""
        import pyarrow.parquet as pq

        if self._joined is None:
            self._joined = _Joined(self._scratch, pq.read_schema(self._part(0)), csv=self.out.suffix.lower() == ".csv")
            earlier = self.done - (self._prepared is not None)
            for number in range(earlier):
                self._joined.write(pq.read_table(self._part(number)))
        return self._joined

    def _begun(self) -> Job | None:
        try:
            return msgspec.json.decode((self._folder / JOB).read_bytes(), type=Job)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _whole(self) -> Iterator[Path]:
        number = 0
        while (path := self._part(number)).exists():
            yield path
            number += 1

    def _part(self, number: int) -> Path:
        return self._folder / f"{number:08d}.parquet"

    def _hidden(self, number: int) -> Path:
        return self._folder / f".{number:08d}.parquet"


def _other(begun: Job, job: Job) -> str:
    """What differs, for people."""
    if begun.table != job.table:
        return "another table, or of this one before it changed"
    if begun.version != job.version:
        return f"another version's answers ({begun.version[7:19]}; {job.version[7:19]} serves now)"
    return "the same answers with other columns of the table"
