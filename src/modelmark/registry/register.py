"""From a contract and a trained model to a version: exact bytes with an id, in the workspace and in MLflow."""

from __future__ import annotations

import importlib.metadata
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelmark import __version__
from modelmark.contract.dtypes import with_columns
from modelmark.contract.table import agreed_table, as_texts
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing
from modelmark.domain.ports import ArtifactStore, Clock
from modelmark.domain.version import (
    CONTRACT,
    DESCRIPTION,
    GOLDEN,
    LOCK,
    ONNX,
    PARITY,
    REFERENCE,
    SIGNATURE,
    File,
    Lineage,
    Version,
)
from modelmark.registry import libraries, sandbox
from modelmark.registry.convert import Conversion, convert, signature_bytes
from modelmark.registry.dvc_pins import pinned
from modelmark.registry.mlflow import ADDRESSES, Tracking, read_version
from modelmark.registry.mlflow_folder import DESCRIPTION as DESCRIPTION_OF_MLFLOW
from modelmark.registry.mlflow_folder import model_file
from modelmark.seal import manifest
from modelmark.seal.digests import canonical, digest_bytes, digest_file, digest_value
from modelmark.seal.source import split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: The packages that decide answers.
LOCKED: Final = ("modelmark", "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")

#: (contract, training table, holdout, its scores) -> the bytes of reference.json.
Reference = Callable[[Contract, "pd.DataFrame", "pd.DataFrame", "np.ndarray"], bytes]
#: (contract, what the model is, training table) -> the bytes of golden.json; None where no row is answered.
Golden = Callable[[Contract, Conversion, "pd.DataFrame"], bytes | None]
StageListener = Callable[[str], None]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Everything `register` needs besides the contract.

    base: the folder of modelmark.yaml. number: the number a new version gets. metrics: (contract, holdout, scores) ->
    what MLflow shows beside parity. golden: None keeps no golden requests.
    """

    base: Path
    artifacts: ArtifactStore
    tracking: Tracking
    reference: Reference
    number: int
    by: str
    golden: Golden | None = None
    metrics: Callable[[Contract, pd.DataFrame, np.ndarray], Mapping[str, float]] = lambda *_: {}
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)
    clock: Clock = _utc_now
    progress: StageListener = lambda _: None


def register(contract: Contract, how: Registration) -> Version:
    """The version of this contract's model. The same bytes registered again are the same version, untouched.

    Raises Missing for a file that is not there; Rejected (UNSAFE_ARTIFACT, CONVERSION_FAILED, NOT_A_MODEL,
    OUT_OF_MEMORY, CLASSES_DIFFER, COLUMNS_DIFFER …) and TimedOut (TOO_SLOW) for a model that will not do;
    NotYet when MLflow cannot be reached; for tables that DVC keeps as `dvc_pins.pinned`.
    """
    tables = {"train": contract.data.train, "holdout": contract.data.holdout, "validation": contract.data.validation}
    pins = {role: pinned(how.base, name, how.progress) for role, name in tables.items() if name is not None}
    how.progress("reading the tables")
    wanted = [item.name for item in contract.inputs] + [contract.data.target]
    train, holdout = (
        agreed_table(how.base / name, contract, wanted) for name in (contract.data.train, contract.data.holdout)
    )
    if contract.data.validation:
        agreed_table(how.base / contract.data.validation, contract, wanted)
    with _source(contract, how) as source:
        conversion = convert(source, contract, holdout, train=train, limits=how.limits, progress=how.progress)
    for note in conversion.notes:
        how.progress(note)
    if conversion.missing:
        how.progress(f"this kernel gave the sandbox no {', no '.join(conversion.missing)}")
    files = {
        **conversion.files,
        CONTRACT: canonical(contract),
        SIGNATURE: signature_bytes(conversion.signature),
        LOCK: lock(conversion.libraries),
    }
    known = _known(how.artifacts, files, conversion.flavour)
    if known is not None:
        how.progress(f"these bytes are {known.label} already")
        return known
    how.progress("describing the training data")
    texts = {item.name: as_texts(train[item.name], item.categories or ()) for item in contract.textual()}
    files[REFERENCE] = how.reference(contract, with_columns(train, texts), holdout, conversion.scores)
    if how.golden is not None:
        how.progress("asking for the golden answers")
        answered = how.golden(contract, conversion, train)
        files |= {} if answered is None else {GOLDEN: answered}
    return _record(contract, how, conversion, files, holdout, pins)


def _known(artifacts: ArtifactStore, files: Mapping[str, bytes], flavour: str) -> Version | None:
    """These bytes, when they are registered: under their flavour, or from before there were several."""
    parts = [manifest.components(manifest.listed(files), name) for name in (flavour, ONNX)]
    found = (existing(artifacts.folder(digest_value(part))) for part in parts)
    return next((version for version in found if version is not None), None)


def existing(folder: Path) -> Version | None:
    """The version in a folder, when it is whole. Raises Tampered when a file in it was changed."""
    if not (folder / DESCRIPTION).is_file():
        return None
    version = read_version(folder)
    manifest.require_named(version)
    sample = [File(path=PARITY, digest=version.parity_sample)] if version.parity_sample is not None else []
    manifest.read(folder, [*version.manifest, *sample])
    return version


def _record(
    contract: Contract,
    how: Registration,
    conversion: Conversion,
    files: dict[str, bytes],
    holdout: pd.DataFrame,
    pins: Mapping[str, str | None],
) -> Version:
    """pins: the md5 of each table that DVC keeps, by what it is for."""
    how.progress("recording in MLflow")
    listed = manifest.listed(files)
    components = manifest.components(listed, conversion.flavour)
    files = {**files, PARITY: canonical(conversion.sample)}
    commit, dirty = git_state(how.base)
    parameters = {
        "estimator": conversion.estimator,
        "task": contract.model.task.value,
        "contract": contract.name,
        "objective": contract.objective.metric.value,
        **{f"model.{name}": value for name, value in conversion.parameters.items()},
    }
    tags = _tags(contract, how, conversion, pins, dirty=dirty)
    run = how.tracking.start(contract.name, parameters, tags)
    recorded = False
    try:
        version = Version(
            id=digest_value(components),
            model=contract.name,
            number=how.number,
            components=components,
            lineage=Lineage(
                source=contract.model.source,
                source_digest=conversion.source,
                train_digest=digest_file(how.base / contract.data.train),
                holdout_digest=digest_file(how.base / contract.data.holdout),
                git_commit=commit,
                run_id=run,
                validation_digest=digest_file(how.base / contract.data.validation)
                if contract.data.validation
                else None,
            ),
            parity=conversion.parity,
            reference=digest_bytes(files[REFERENCE]),
            parity_sample=digest_bytes(files[PARITY]),
            files=listed,
            created_at=how.clock(),
            registered_by=how.by,
        )
        parity = conversion.parity
        metrics = {"parity.flipped": float(parity.flipped), "parity.max_difference": parity.max_difference}
        with _staged({**files, DESCRIPTION: canonical(version)}) as folder:
            how.tracking.finish(version, folder, {**metrics, **how.metrics(contract, holdout, conversion.scores)})
            how.artifacts.add(version.id, folder)
        recorded = True
    finally:
        if not recorded:
            how.tracking.abandon(run)
    return version


def _tags(
    contract: Contract, how: Registration, conversion: Conversion, pins: Mapping[str, str | None], *, dirty: bool
) -> dict[str, str]:
    return {
        "modelmark.git_dirty": str(dirty).lower(),
        **{f"modelmark.dvc.{role}": md5 for role, md5 in pins.items() if md5 is not None},
        "modelmark.walls_missing": ", ".join(conversion.missing) or "none",
        "mlflow.runName": f"{contract.name} v{how.number}",
    }


@contextmanager
def _staged(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A scratch folder with the files in it."""
    with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
        for file, data in files.items():
            (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / file).write_bytes(data)
        yield Path(name)


def lock(more: Collection[str] = ()) -> bytes:
    """`name==version` of each package that decides answers, sorted, one a line. more: of `libraries`."""

    def version_of(name: str) -> str:
        if name == "modelmark":
            return __version__
        return importlib.metadata.version(name)

    names = {*LOCKED, *libraries.distributions(more)}
    return "".join(f"{name}=={version_of(name)}\n" for name in sorted(names)).encode()


def git_state(base: Path) -> tuple[str | None, bool]:
    """(commit of the folder, whether it has uncommitted changes); (None, False) outside a repository."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(base), *words], capture_output=True, text=True, timeout=20)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return commit, bool(commit and git("status", "--porcelain", "--", "."))


@contextmanager
def _source(contract: Contract, how: Registration) -> Iterator[Path]:
    """The model's file, fetched from MLflow where the contract says so."""
    source, _ = split(contract.model.source)
    if source.startswith(ADDRESSES):
        how.progress(f"fetching {source} from MLflow")
        with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
            yield how.tracking.download(source, Path(name))
        return
    path = how.base / source
    if path.is_dir():
        yield model_file(path, source)[0] if (path / DESCRIPTION_OF_MLFLOW).is_file() else path
        return
    if not path.is_file():
        raise Missing(
            f"there is no model file {path}",
            code="NO_MODEL",
            field="model.source",
            hint="paths are relative to modelmark.yaml",
        )
    yield path
