"""The only module that imports MLflow: runs, registered models, aliases, and artifacts that live there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError, NotYet, Rejected, Tampered
from modelmark.domain.telemetry import switch_off
from modelmark.domain.version import DESCRIPTION, Version
from modelmark.domain.workspace import Workspace
from modelmark.registry.artifact_places import require_address, require_no_links, require_place
from modelmark.registry.mlflow_database import set_up
from modelmark.registry.mlflow_folder import model_file
from modelmark.seal import manifest
from modelmark.seal.values import decode

ADDRESSES: Final = ("runs:/", "models:/")
_FOLDER: Final = "version"  # inside a run's artifacts
_TAG: Final = "modelmark.version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """One MLflow: the workspace's own SQLite file and folder, or whatever `uri` names.

    Every method raises NotYet (code MLFLOW_UNAVAILABLE) when that MLflow cannot be reached.
    """

    workspace: Workspace
    uri: str | None = None
    progress: Callable[[str], None] = lambda _: None

    @property
    def address(self) -> str:
        return self.uri or f"sqlite:///{self.workspace.mlflow_database.resolve()}"

    def start(self, model: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
        """Open a run in the experiment of the model's name; its id."""
        return str(self._call(lambda client: self._start(client, model, parameters, tags)))

    def _start(self, client: Any, model: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
        experiment = client.get_experiment_by_name(model)
        if experiment is None:
            place = None if self.uri else self.workspace.mlflow_artifacts.resolve().as_uri()
            number = client.create_experiment(model, artifact_location=place)
        else:
            number = experiment.experiment_id
        run = client.create_run(number, tags=dict(tags))
        for name, value in parameters.items():
            client.log_param(run.info.run_id, name, value[:500])
        return str(run.info.run_id)

    def finish(self, version: Version, folder: Path, metrics: Mapping[str, float]) -> None:
        """Log the version's files and metrics to its run, and register it under its model's name."""
        self._call(lambda client: self._finish(client, version, folder, metrics))

    def _finish(self, client: Any, version: Version, folder: Path, metrics: Mapping[str, float]) -> None:
        run = str(version.lineage.run_id)
        for metric, measured in metrics.items():
            client.log_metric(run, metric, measured)
        client.log_artifacts(run, str(folder), _FOLDER)
        for name, value in _lineage(version).items():
            client.set_tag(run, name, value)
        mlflow = _mlflow()
        try:
            client.create_registered_model(version.model)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{client.get_run(run).info.artifact_uri}/{_FOLDER}"
        client.create_model_version(version.model, source, run_id=run, tags=_lineage(version))
        client.set_terminated(run)

    def keep_mark(self, version: Version, mark: Path) -> None:
        """Log a released version's mark beside its files, so that `fetch` brings back what may serve."""
        self._call(lambda client: client.log_artifact(str(version.lineage.run_id), str(mark), _FOLDER))

    def abandon(self, run_id: str) -> None:
        """Mark a run whose version never came to be."""
        self._call(lambda client: client.set_terminated(run_id, status="FAILED"))

    def number(self, version: Version) -> str:
        """MLflow's own number of the version. Raises Missing when it is not there."""
        found = self._call(lambda client: client.search_model_versions(f"name = '{version.model}'"))
        for item in found:
            if item.tags.get(_TAG) == version.id:
                return str(item.version)
        raise Missing(f"MLflow does not know {version.model} {version.label}", code="NO_VERSION")

    def set_alias(self, version: Version, alias: str) -> None:
        """Point `champion` or `canary` at the version; it leaves whoever had it."""
        number = self.number(version)
        self._call(lambda client: client.set_registered_model_alias(version.model, alias, number))

    def remove_alias(self, model: str, alias: str) -> None:
        self._call(lambda client: client.delete_registered_model_alias(model, alias))

    def fetch(self, version: Version, target: Path) -> None:
        """Bring a version's files back into `target`. Raises Tampered when they are not the version's bytes."""
        artifacts = _mlflow().artifacts
        where = f"runs:/{version.lineage.run_id}/{_FOLDER}"
        target.mkdir(parents=True, exist_ok=True)
        self._call(
            lambda _: artifacts.download_artifacts(artifact_uri=where, dst_path=str(target), tracking_uri=self.address)
        )
        got = target / _FOLDER
        for file in got.iterdir():
            file.replace(target / file.name)
        got.rmdir()
        try:
            manifest.read(target, version.manifest)
        except Tampered as error:
            raise Tampered(
                f"{error.field} from MLflow is not what {version.label} was made of", field=error.field
            ) from None

    def find(self, id: Digest) -> Path | None:
        """Where MLflow keeps the version's files, when that is a local folder."""
        found = self._call(lambda client: client.search_model_versions(f"tags.`{_TAG}` = '{id}'"))
        paths = [Path(item.source.removeprefix("file://")) for item in found if item.source.startswith(("file:", "/"))]
        return next((path for path in paths if path.is_dir()), None)

    def download(self, address: str, target: Path) -> Path:
        """The model file behind `runs:/RUN/path` or `models:/NAME/VERSION`: a pickle or ONNX, not yet opened.

        Always below `target`. Raises Rejected for an address or a place that could lead elsewhere.
        """
        require_address(address)
        got = Path(self._call(lambda client: self._download(client, address, target)))
        require_no_links(target)
        if not got.resolve().is_relative_to(target.resolve()):
            raise Rejected(f"{address} was not brought into our folder", code="UNSAFE_PLACE", field="model.source")
        if got.is_file():
            return got
        path, is_graph = model_file(got, address)
        return path.rename(path.with_suffix(".onnx")) if is_graph and path.suffix != ".onnx" else path

    def _download(self, client: Any, address: str, target: Path) -> str:
        place = _checked_place(client, address, self.address)
        got = _mlflow().artifacts.download_artifacts(
            artifact_uri=place, dst_path=str(target), tracking_uri=self.address, registry_uri=self.address
        )
        return str(got)

    def _call(self, act: Callable[[Any], Any]) -> Any:
        mlflow = _mlflow()
        import sqlalchemy

        try:
            if self.uri is None:
                set_up(self.workspace, self.progress)
            return act(mlflow.MlflowClient(tracking_uri=self.address, registry_uri=self.address))
        except ModelmarkError:
            raise
        except mlflow.exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise Missing(f"MLflow has no such thing: {_one_line(error)}", code="NOT_IN_MLFLOW") from None
            if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                raise Rejected(f"MLflow refuses: {_one_line(error)}", code="MLFLOW_REFUSES") from None
            raise self._unavailable(error) from None
        except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> NotYet:
        # Not the address itself: it may carry a password.
        return NotYet(
            f"MLflow cannot be used now: {_one_line(error)}",
            code="MLFLOW_UNAVAILABLE",
            hint="look at MLFLOW_TRACKING_URI" if self.uri else "look at the workspace's mlflow.db",
        )


def _mlflow() -> Any:
    switch_off()
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # what we bring we tell ourselves
    import mlflow
    import mlflow.artifacts

    for name in ("mlflow", "alembic"):  # after the import, which sets them up
        logging.getLogger(name).setLevel(logging.ERROR)

    return mlflow


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _lineage(version: Version) -> dict[str, str]:
    line = version.lineage
    return {
        _TAG: version.id,
        "modelmark.number": str(version.number),
        "modelmark.source": line.source,
        "modelmark.source_digest": line.source_digest,
        "modelmark.train_digest": line.train_digest,
        "modelmark.holdout_digest": line.holdout_digest,
        "modelmark.git_commit": line.git_commit or "none",
        "modelmark.registered_by": version.registered_by,
    }


def _checked_place(client: Any, address: str, tracking: str) -> str:
    """What to download: a run's address as it is, for a `models:/` address where its files lie; MLflow itself would ask its
    process-wide registry, not this one. Raises Rejected for a place that is not the run's own."""
    if not address.startswith("models:/"):
        number, _, path = address.removeprefix("runs:/").partition("/")
        run = client.get_run(number)
        root = str(run.info.artifact_uri)
        require_place(f"{root}/{path}".rstrip("/"), [root], tracking=tracking)
        for made in run.outputs.model_outputs if run.outputs else ():
            _logged(client, made.model_id, tracking)
        return address
    from mlflow.store.artifact.utils.models import get_model_name_and_version

    found = get_model_name_and_version(client, address)
    if len(found) != 2:
        return _logged(client, found[0], tracking)
    version = client.get_model_version(*found)
    place = str(client.get_model_version_download_uri(*found))
    if place.startswith("models:/m-"):
        return _logged(client, place.removeprefix("models:/"), tracking)
    require_place(place, _roots(client, version.run_id), tracking=tracking)
    return place


def _roots(client: Any, run: str | None) -> list[str]:
    """Where the files of a registered model may lie: with its run; without one, with any experiment of this MLflow."""
    if run:
        return [str(client.get_run(run).info.artifact_uri)]
    return [str(experiment.artifact_location) for experiment in client.search_experiments()]


def _logged(client: Any, id: str, tracking: str) -> str:
    """Where a logged model lies: within its experiment's artifacts."""
    model = client.get_logged_model(id)
    root = str(client.get_experiment(model.experiment_id).artifact_location)
    require_place(str(model.artifact_location), [root], tracking=tracking)
    return str(model.artifact_location)


def read_version(folder: Path) -> Version:
    """The description in a version's folder. Raises Missing, or Tampered when it has not its form."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise Missing(f"there is no version in {folder}", code="NO_VERSION")
    return decode(Version, path.read_bytes())
