"""TLS at the endpoint's own ports, over HTTP and gRPC; and where it may listen at all."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

import serving_case as case
from certificates import Authority
from modelmark.cli.up import Up, dashboard_host
from modelmark.domain.endpoint.keys import EndpointKey, Scope
from modelmark.domain.errors import NotPermitted, Rejected
from modelmark.domain.routes import Snapshot
from modelmark.domain.settings import Settings
from modelmark.seal import keys
from modelmark.seal.endpoint_secrets import digest_secret
from modelmark.seal.snapshot import read_snapshot, write_snapshot
from modelmark.serving.entry.exposure import Exposure
from modelmark.serving.entry.tls import Tls, TlsFiles
from modelmark.serving.supervisor import Supervisor, running

OURS, THEIRS = Authority("ours"), Authority("theirs")
LIVE = "/inference.GRPCInferenceService/ServerLive"


def eventually(check: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def files(folder: Path, *, client_ca: bytes | None = None, **how: Any) -> TlsFiles:
    cert, key = OURS.sign("server", **how).write(folder, "server")
    if client_ca is not None:
        (folder / "clients.pem").write_bytes(client_ca)
    return TlsFiles(cert=cert, key=key, client_ca=folder / "clients.pem" if client_ca else None)


def trusting(authority: Authority, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    found = ssl.create_default_context(cadata=authority.cert.decode())
    if pair is not None:
        found.load_cert_chain(*pair)
    return found


def asked(
    port: int, context: ssl.SSLContext, path: str = "/v2/health/ready", body: bytes | None = None, **headers: str
) -> Any:
    """(status, document, headers)"""
    with_ = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        with_.request("GET" if body is None else "POST", path, body, headers)
        answer = with_.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.getheaders())
    finally:
        with_.close()


def serial(port: int) -> bytes:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10).encode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> case.Built:
    found = case.build(tmp_path_factory.mktemp("workspace"))
    case.release(found)
    return found


def test_both_ports_speak_tls_and_take_new_certificates_up(built: case.Built, tmp_path: Path) -> None:
    exposure = Exposure(tls=files(tmp_path))
    with running(built.workspace, grpc_port=0, exposure=exposure) as supervisor:
        assert supervisor.address.startswith("https://")
        row = json.dumps({"rows": [case.row(built)]}).encode()
        status, found, headers = asked(supervisor.port, trusting(OURS), "/models/churn/predict", row)
        assert (status, len(found["predictions"])) == (200, 1)
        assert headers["strict-transport-security"] == "max-age=31536000"
        with pytest.raises(ssl.SSLCertVerificationError):
            asked(supervisor.port, trusting(THEIRS))
        credentials = grpc.ssl_channel_credentials(OURS.cert)
        with grpc.secure_channel(supervisor.grpc_address, credentials) as channel:
            assert channel.unary_unary(LIVE)(b"", timeout=10)
        with socket.create_connection(("127.0.0.1", supervisor.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"HTTP" not in plain.recv(100)
        before = serial(supervisor.port)
        files(tmp_path)
        eventually(lambda: serial(supervisor.port) != before)
        (tmp_path / "server.key").write_bytes(b"no key")
        eventually(lambda: any("old ones serve on" in p for p in asked(supervisor.port, trusting(OURS))[1]["problems"]))
        with grpc.secure_channel(supervisor.grpc_address, credentials) as channel:
            assert channel.unary_unary(LIVE)(b"", timeout=10)


def test_where_callers_need_certificates_those_of_the_authority_are_let_in(built: case.Built, tmp_path: Path) -> None:
    exposure = Exposure(tls=files(tmp_path, client_ca=THEIRS.cert))
    mine, strange = THEIRS.sign("caller").write(tmp_path, "caller"), OURS.sign("stranger").write(tmp_path, "stranger")
    with running(built.workspace, grpc_port=0, exposure=exposure) as supervisor:
        assert asked(supervisor.port, trusting(OURS, mine))[0] == 200
        for pair in (None, strange):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                asked(supervisor.port, trusting(OURS, pair))
        for pair, code in ((mine, "OK"), (None, "UNAVAILABLE"), (strange, "UNAVAILABLE")):
            key, chain = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
            credentials = grpc.ssl_channel_credentials(OURS.cert, key, chain)
            with grpc.secure_channel(supervisor.grpc_address, credentials) as channel:
                try:
                    channel.unary_unary(LIVE)(b"", timeout=10)
                    heard = "OK"
                except grpc.RpcError as error:
                    heard = error.code().name
            assert heard == code


def garbage(folder: Path) -> None:
    (folder / "server.pem").write_bytes(b"nothing")


def gone(folder: Path) -> None:
    (folder / "server.key").unlink()


def another_key(folder: Path) -> None:
    (folder / "server.key").write_bytes(OURS.sign("other").key)


def no_key(folder: Path) -> None:
    (folder / "server.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")


def no_authority(folder: Path) -> None:
    (folder / "clients.pem").write_bytes(b"x")


@pytest.mark.parametrize(
    ("damage", "code", "field"),
    [
        (garbage, "BAD_CERTIFICATE", "tls_cert"),
        (gone, "NO_CERTIFICATE", "tls_key"),
        (another_key, "KEY_MISMATCH", "tls_key"),
        (no_key, "BAD_TLS_KEY", "tls_key"),
        (no_authority, "BAD_CERTIFICATE", "tls_client_ca"),
    ],
)
def test_files_that_are_no_good_end_the_start_with_one_clear_error(
    built: case.Built, tmp_path: Path, damage: Callable[[Path], None], code: str, field: str
) -> None:
    found = files(tmp_path, client_ca=OURS.cert)
    damage(tmp_path)
    with pytest.raises(Rejected) as caught:
        Supervisor(built.workspace, port=0, exposure=Exposure(tls=found))
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_certificate_outside_its_time_is_refused_and_one_that_ends_soon_is_told_of(tmp_path: Path) -> None:
    for begins, days in ((-2, 1), (1, 1)):
        with pytest.raises(Rejected) as caught:
            files(tmp_path, begins=begins, days=days).read()
        assert caught.value.code == "CERTIFICATE_EXPIRED"
    assert "ends on" in (Tls(files(tmp_path, days=7)).problem() or "")
    assert Tls(files(tmp_path, days=30)).problem() is None
    with pytest.raises(Rejected) as caught:
        TlsFiles.of(tmp_path / "server.pem", None, None)
    assert caught.value.code == "BAD_TLS"


def with_a_key(built: case.Built, *, days: float) -> None:
    signer = keys.signer(built.workspace.keys)
    last = read_snapshot(built.workspace.snapshot, signer.verifier())
    now = datetime.now(UTC)
    one = EndpointKey(
        id="shop", name="shop", digest=digest_secret(b"mmk_shop"), scopes=(Scope.PREDICT,), issued_at=now,
        expires_at=now + timedelta(days=days), issued_by="ann",
    )  # fmt: skip
    write_snapshot(
        built.workspace.snapshot,
        Snapshot(sequence=last.sequence + 1, issued_at=now, routes=last.routes, keys=(one,)),
        signer,
    )


def test_elsewhere_it_listens_only_with_tls_and_keys_or_behind_a_proxy(tmp_path: Path) -> None:
    built, host = case.build(tmp_path / "w"), "0.0.0.0"
    case.release(built)
    plain, tls = Exposure(), Exposure(tls=files(tmp_path))

    def refused(exposure: Exposure, host: str = host) -> str:
        with pytest.raises(NotPermitted) as caught:
            Supervisor(built.workspace, host=host, port=0, exposure=exposure)
        assert (caught.value.code, caught.value.field) == ("NOT_LOOPBACK", "host")
        return caught.value.message

    assert "TLS" in refused(plain)
    assert "key of the endpoint" in refused(plain)
    assert "TLS" not in refused(tls)
    with_a_key(built, days=-1)
    assert "key of the endpoint" in refused(tls), "it has expired"
    with_a_key(built, days=1)
    assert "TLS" in refused(plain)
    refused(Exposure(behind_proxy=True), "example.org")
    with pytest.raises(NotPermitted):
        Up(Settings(workspace=built.workspace.root, host=host, port=0, dashboard_port=0), print)
    with running(built.workspace, host=host, exposure=tls) as supervisor:
        row = json.dumps({"rows": [case.row(built)]}).encode()
        answers = [
            asked(supervisor.port, trusting(OURS), "/models/churn/predict", row, host="models.example", **headers)[0]
            for headers in ({}, {"authorization": "Bearer mmk_shop"})
        ]
        assert answers == [401, 200]


def test_behind_a_proxy_it_answers_by_any_name_and_asks_for_no_key_of_its_own(built: case.Built) -> None:
    with running(built.workspace, host="127.0.0.2", exposure=Exposure(behind_proxy=True)) as supervisor:
        with_ = http.client.HTTPConnection("127.0.0.2", supervisor.port, timeout=10)
        with_.request("GET", "/models/churn", headers={"host": "models.example"})
        assert with_.getresponse().status == 200
        with_.close()


def test_pages_stay_on_this_machine_wherever_the_endpoint_listens() -> None:
    found = {host: dashboard_host(SimpleNamespace(host=host)) for host in ("0.0.0.0", "127.0.0.1", "::1")}  # type: ignore[arg-type]
    assert found == {"0.0.0.0": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
