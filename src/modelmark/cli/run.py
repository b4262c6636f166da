"""What keeps running: serve, steward, up; and labels, which feed them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_control_plane, open_workbench, settings_of
from modelmark.cli.output import OK, log_to_stderr, note, say, say_json
from modelmark.cli.still_there import still_there
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.errors import Rejected

if TYPE_CHECKING:
    from modelmark.domain.settings import Settings
    from modelmark.serving.supervisor import Supervisor
    from modelmark.steward.loop import Steward
    from modelmark.web.server import Application

Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of the prediction endpoint; 0 picks one [default: 8080].")
]
GrpcPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the gRPC endpoint; 0 picks one [default: none, no gRPC]."),
]
MlflowModel = Annotated[
    str | None, typer.Option(help="Which model answers at MLflow's /invocations [default: the only one there is].")
]
KServeV1 = Annotated[
    bool | None,
    typer.Option("--kserve-v1", help="Speak KServe's protocol V1 at /v1/models, where TensorFlow Serving's is else."),
]
Host = Annotated[
    str | None, typer.Option(help="Where the endpoint listens; elsewhere takes TLS and keys [default: 127.0.0.1].")
]
TlsCert = Annotated[Path | None, typer.Option(help="The endpoint's certificate with its chain, PEM [default: no TLS].")]
TlsKey = Annotated[Path | None, typer.Option(help="Its key, PEM.")]
TlsClientCa = Annotated[
    Path | None, typer.Option(help="Let in only callers with a certificate of these authorities, PEM.")
]
BehindProxy = Annotated[
    bool | None, typer.Option("--behind-proxy", help="A proxy in front has TLS and knows its callers.")
]
CacheMb = Annotated[
    int | None,
    typer.Option(min=0, max=65_536, help="Megabytes of answers that may be given again [default: 0, none is]."),
]
Trace = Annotated[
    str | None, typer.Option(help="Where OpenTelemetry traces of requests go: otlp://HOST[:4318] [default: nowhere].")
]
RequireKeys = Annotated[
    bool | None,
    typer.Option("--require-keys", help="Answer nobody without a key of the endpoint: modelmark key create."),
]
DashboardPort = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of the dashboard; 0 picks one [default: 8081].")
]
Workers = Annotated[
    str | None,
    typer.Option(help="Worker processes: 2, bounds within which they follow the load: 1..4, or auto [default: 1]."),
]


def serve(
    workers: Workers = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    mlflow_model: MlflowModel = None,
    kserve_v1: KServeV1 = None,
    host: Host = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    behind_proxy: BehindProxy = None,
    require_keys: RequireKeys = None,
    cache_mb: CacheMb = None,
    trace: Trace = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Answer predictions. Workers follow new releases within a second; dead ones are replaced.

    Example: modelmark serve --workers 2 --port 8080
    """
    from modelmark.cli.endpoint import run

    settings = settings_of(
        workspace, workers=_bounds(workers), port=port, grpc_port=grpc_port, mlflow_model=mlflow_model, kserve_v1=kserve_v1,
        host=host, tls_cert=tls_cert, tls_key=tls_key, tls_client_ca=tls_client_ca, behind_proxy=behind_proxy,
        require_keys=require_keys,
        cache_mb=cache_mb,
        trace=trace,
    )  # fmt: skip
    return run(settings, lambda supervisor: _serving(supervisor, json))


def steward(
    dashboard_port: DashboardPort = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Compact the journal, watch for drift and decay, send alerts, and show the dashboard.

    Example: MODELMARK_NOTIFY="mailto://…" modelmark steward --dashboard-port 8081
    """
    from modelmark.serving.heartbeat import follow_parent
    from modelmark.steward.memory import use_one_heap

    use_one_heap()
    follow_parent()
    log_to_stderr()
    app = open_control_plane(workspace, dashboard_port=dashboard_port)
    with still_there(app.workspace.root):
        app.catch_up()
        stop = threading.Event()
        loop = threading.Thread(target=_watch, args=(app.steward(), stop), name="steward")
        loop.start()
        try:
            _dashboard(app.dashboard(), app.settings, json)
        finally:
            stop.set()
            loop.join()
            app.checkpoint.last()  # what is sealed by now cannot be cut unseen while nobody watches
    return OK


def _bounds(text: str | None) -> WorkerBounds | None:
    """Raises BadParameter."""
    try:
        return None if text is None else WorkerBounds.read(text)
    except Rejected as error:
        raise typer.BadParameter(f"{error.message}: {error.limit}", param_hint="--workers") from None


def _watch(steward: Steward, stop: threading.Event) -> None:
    """The control loop. If it ever ends by itself, so does the process: pages without a steward would look well."""
    try:
        steward.run(stop)
    finally:
        if not stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)


def _serving(supervisor: Supervisor, json: bool) -> None:
    _ready("predictions", supervisor.address, json)
    if supervisor.grpc_address is not None:
        _ready("gRPC", supervisor.grpc_address, json)


def _ready(what: str, address: str, json: bool) -> None:
    if json:
        say_json({"ready": what, "address": address})
    else:
        say(f"ready: {what} on {address}")


def _dashboard(pages: Application, settings: Settings, json: bool) -> None:
    """Serve the pages until SIGTERM or SIGINT."""
    from modelmark.cli.up import dashboard_host
    from modelmark.serving.http.listening import reserve
    from modelmark.serving.supervisor import PATIENCE
    from modelmark.web.transport import server as server_of

    host = dashboard_host(settings)
    listener = reserve(host, settings.dashboard_port, PATIENCE)
    listener.listen(64)
    server = server_of(pages)
    # uvicorn raises the signal again when it has drained; ours make that the ordinary end, so the steward ends well too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    _ready("dashboard", f"http://{host}:{listener.getsockname()[1]}", json)
    server.run(sockets=[listener])


def up(
    workers: Workers = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    mlflow_model: MlflowModel = None,
    kserve_v1: KServeV1 = None,
    host: Host = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    behind_proxy: BehindProxy = None,
    require_keys: RequireKeys = None,
    cache_mb: CacheMb = None,
    trace: Trace = None,
    dashboard_port: DashboardPort = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Endpoint and steward on one machine, each a process of its own, replaced when it dies.

    Example: modelmark up --workers 2
    """
    from modelmark.cli.up import Up

    settings = settings_of(
        workspace,
        workers=_bounds(workers),
        port=port,
        grpc_port=grpc_port,
        mlflow_model=mlflow_model,
        kserve_v1=kserve_v1,
        host=host,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        behind_proxy=behind_proxy,
        require_keys=require_keys,
        cache_mb=cache_mb,
        trace=trace,
        dashboard_port=dashboard_port,
    )
    together = Up(settings, lambda line: _ready(line.split()[1], line.split()[3], json))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: together.request_stop())
    with still_there(settings.place.root):
        together.run()
    return OK


def label(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns id, label and, for requests of several rows, row; or entity, at, label."
        ),
    ],
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Tell what turned out to be true, by prediction id, or of an entity at a moment.

    Exit code 1 when any line does not count: refused, or kept aside.

    Example: modelmark label outcomes.csv --model churn
    """
    app = open_workbench(workspace)
    found = app.label(app.find.model(model), file)
    aside = found.unknown + found.conflicting
    left = aside + found.refused
    if json:
        say_json(found)
        return int(left > 0)
    counts = f"{found.accepted} labels taken, {found.duplicates} repeated, {aside} kept aside, {found.refused} refused"
    if found.by_entity:
        counts += f"; {found.by_entity} by entity, whose predictions the steward finds"
    say(f"{'✓' if not left else '!'} {counts}")
    for line in found.examples:
        note(f"  {file}:{line.number}: {line.reason}")
    return int(left > 0)
