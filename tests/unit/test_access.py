"""Who may ask for what: every address of every protocol, and every call over gRPC, with and without keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

import loops
import serving_case as case
from modelmark.domain.endpoint.keys import EndpointKey, Scope
from modelmark.domain.errors import Missing, NoKey, OverQuota
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal.endpoint_secrets import digest_secret
from modelmark.serving.entry.access import Access, Need
from modelmark.serving.entry.quota import BURST, Quota
from modelmark.serving.grpc.access import NEEDS
from modelmark.serving.grpc.generated import labels_pb2, open_inference_pb2, tensorflow_serving_pb2
from modelmark.serving.grpc.server import GrpcServer
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LoadedModel, load_candidate
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Predict, installed

LATER = datetime.now(UTC) + timedelta(days=1)
PREDICT, LABEL, EXPLAIN = Scope.PREDICT, Scope.LABEL, Scope.EXPLAIN


def made(name: str, *scopes: Scope, **more: Any) -> EndpointKey:
    """Its secret is `mmk_NAME`."""
    usual = {"issued_at": LATER, "expires_at": LATER, "issued_by": "ann", "scopes": scopes}
    return EndpointKey(id=name, name=name, digest=digest_secret(f"mmk_{name}".encode()), **{**usual, **more})


KEYS = (
    made("all", PREDICT, LABEL, EXPLAIN),
    made("predict", PREDICT),
    made("label", LABEL),
    made("explain", EXPLAIN),
    made("bound", PREDICT, LABEL, EXPLAIN, model="churn"),
    made("other", PREDICT, LABEL, EXPLAIN, model="loans"),
    made("expired", PREDICT, LABEL, EXPLAIN, expires_at=LATER - timedelta(days=2)),
)
#: Address (with {v} for a version, the model being churn) -> what it needs. A new address fails the test until it stands here.
ADDRESSES = {
    "GET /": Need.OPEN,
    "GET /health": Need.OPEN,
    "GET /ping": Need.OPEN,
    "GET /v2/health/live": Need.OPEN,
    "GET /v2/health/ready": Need.OPEN,
    "GET /v2": Need.KEY,
    "GET /version": Need.KEY,
    "GET /metrics": Need.ALL,
    "GET /models": Need.ALL,
    "GET /openapi.json": Need.ALL,
    "GET /v1/models": Need.ALL,
    "GET /v2/models": Need.ALL,
    "GET /v2/models/stats": Need.ALL,
    "POST /v2/repository/index": Need.ALL,
    "GET /models/churn": Need.KEY,
    "GET /v1/models/churn": Need.KEY,
    "GET /v1/models/churn/{v}": Need.KEY,
    "GET /v1/models/churn/metadata": Need.KEY,
    "GET /v1/models/churn/{v}/metadata": Need.KEY,
    "GET /v2/models/churn": Need.KEY,
    "GET /v2/models/churn/config": Need.KEY,
    "GET /v2/models/churn/ready": Need.KEY,
    "GET /v2/models/churn/stats": Need.KEY,
    "GET /v2/models/churn/{v}": Need.KEY,
    "GET /v2/models/churn/{v}/config": Need.KEY,
    "GET /v2/models/churn/{v}/ready": Need.KEY,
    "GET /v2/models/churn/{v}/stats": Need.KEY,
    "POST /v2/repository/models/churn/load": Need.KEY,
    "POST /v2/repository/models/churn/unload": Need.KEY,
    "POST /models/churn/labels": Need.LABEL,
    "POST /v2/models/churn/labels": Need.LABEL,
    "POST /v1/models/churn:explain": Need.EXPLAIN,
    "POST /invocations": Need.PREDICT,
    "POST /models/churn/predict": Need.PREDICT,
    "POST /v1/models/churn:predict": Need.PREDICT,
    "POST /v1/models/churn:classify": Need.PREDICT,
    "POST /v1/models/churn:regress": Need.PREDICT,
    "POST /v1/models/churn/{v}:predict": Need.PREDICT,
    "POST /v1/models/churn/{v}:classify": Need.PREDICT,
    "POST /v1/models/churn/{v}:regress": Need.PREDICT,
    "POST /v2/models/churn/infer": Need.PREDICT,
    "POST /v2/models/churn/{v}/infer": Need.PREDICT,
}
#: need -> the keys of KEYS that open it, for the model churn.
OPENED_BY = {
    Need.KEY: {"all", "predict", "label", "explain", "bound"},
    Need.ALL: {"all", "predict", "label", "explain"},
    Need.PREDICT: {"all", "predict", "bound"},
    Need.LABEL: {"all", "label", "bound"},
    Need.EXPLAIN: {"all", "explain", "bound"},
}


class Caller:
    """Implements `http.service.Exchange`."""

    request_id, gone, peer, ready = "r", False, b"127.0.0.1", 0.0

    def __init__(self) -> None:
        self.ready = time.perf_counter()
        self.heard: list[tuple[int, bytes, bytes]] = []

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None:
        self.heard.append((status, body, extra))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    built = case.build(tmp_path_factory.mktemp("version"), marked=False)
    return load_candidate(built.folder, built.id)


Work = Callable[[Runtime, Service], Any]


@pytest.fixture
def desk(tmp_path: Path, version: LoadedModel) -> Callable[..., None]:
    def go(work: Work, *, required: bool = True, kserve: bool = False) -> None:
        async def inside() -> None:
            with Writer(Workspace(tmp_path).wal, sync=Sync.NEVER) as writer:
                runtime = Runtime(
                    Workspace(tmp_path), writer, Metrics(None), verifier=lambda: None, require_keys=required  # type: ignore[arg-type, return-value]
                )  # fmt: skip
                runtime.serve_only(version)
                runtime.access.follow(KEYS)
                service = Service(runtime, installed({"kserve": {"chosen": kserve}}))
                found = work(runtime, service)
                if asyncio.iscoroutine(found):
                    await found

        loops.run(inside())

    return go


def asked(service: Service, address: str, key: str | None = None, body: bytes = b"") -> tuple[int, bytes, bytes]:
    method, _, url = address.partition(" ")
    caller = Caller()
    headers = {} if key is None else {b"authorization": f"Bearer mmk_{key}".encode()}
    service.handle(caller, method.encode(), url.encode(), headers, body)
    return caller.heard[0]


def addresses(service: Service, version: LoadedModel) -> Iterator[tuple[str, str]]:
    """(as in ADDRESSES, as it is asked)"""
    service._follow()
    names = ("labels/champion", "labels/stable", "versions/0", *(f"versions/{name}" for name in version.names))
    for path, methods in service._table.items():
        for method in set(methods) - {b"HEAD"}:
            real = f"{method.decode()} {path.decode()}"
            named = next((real.replace(name, "{v}") for name in sorted(names, key=len)[::-1] if name in real), real)
            yield named, real
    yield "GET /metrics", "GET /metrics"


@pytest.mark.parametrize("kserve", [False, True])
def test_every_address_of_every_protocol_needs_what_the_table_says(
    desk: Any, version: LoadedModel, kserve: bool
) -> None:
    def work(runtime: Runtime, service: Service) -> None:
        found = dict(addresses(service, version))
        only = {"GET /", "POST /v1/models/churn:explain"}
        assert set(found) == set(ADDRESSES) - (set() if kserve else only)
        for named, real in found.items():
            need = ADDRESSES[named]
            assert (asked(service, real)[0] == 401) is (need is not Need.OPEN), named
            for one in KEYS:
                status = asked(service, real, one.id)[0]
                if need is Need.OPEN:
                    refused = 200
                elif one.id == "expired":
                    refused = 401
                elif one.id == "other" and "churn" in real + real.replace("/invocations", "churn"):
                    refused = 404
                elif one.id == "other":
                    refused = 200 if need is Need.KEY else 403
                else:
                    refused = 0 if one.id in OPENED_BY[need] else 403
                if refused:
                    assert status == refused, (named, one.id)
                elif not real.endswith("load"):  # which nobody may: releases decide what serves
                    assert status not in (401, 403, 404), (named, one.id, status)

    desk(work, kserve=kserve)


def test_every_address_that_predicts_is_known_to_predict(desk: Any) -> None:
    def work(runtime: Runtime, service: Service) -> None:
        service._follow()
        predicting = {
            (path, method)
            for path, methods in service._table.items()
            for method, endpoint in methods.items()
            if type(endpoint) is Predict
        }
        assert len(predicting) > 10
        for path, method in predicting:
            assert service._need(path, method, service._table[path][method]) == (Need.PREDICT, "churn")

    desk(work)


def test_a_model_that_the_key_is_not_for_is_as_one_that_there_is_not(desk: Any) -> None:
    def work(runtime: Runtime, service: Service) -> None:
        for form in ("POST /models/{}/predict", "GET /v2/models/{}", "POST /v1/models/{}:predict", "GET /models/{}/no"):
            there, absent = (asked(service, form.format(name), "other") for name in ("churn", "nobody"))
            assert there == absent
            assert there[0] == 404

    desk(work)


def test_each_protocol_refuses_in_its_own_form(desk: Any) -> None:
    def work(runtime: Runtime, service: Service) -> None:
        for address, code in (
            ("POST /models/churn/predict", "code"),
            ("POST /v2/models/churn/infer", "code"),
            ("POST /invocations", "error_code"),
        ):
            status, body, extra = asked(service, address)
            assert (status, extra) == (401, b"www-authenticate: Bearer\r\n")
            assert json.loads(body)[code]
        assert "needs a key" in json.loads(asked(service, "POST /v1/models/churn:predict")[1])["error"]
        assert runtime.refusals.take(0) == [], "strangers say nothing about a model"

    desk(work)


def test_where_no_key_is_required_one_that_is_shown_still_has_to_be_good(desk: Any) -> None:
    def work(runtime: Runtime, service: Service) -> None:
        address = "GET /models/churn"
        assert asked(service, address)[0] == 200
        assert asked(service, "POST /models/churn/labels", "predict")[0] == 403
        assert asked(service, address, "revoked")[0] == 401
        assert asked(service, "GET /v2/health/ready", "revoked")[0] == 200
        caller = Caller()
        service.handle(caller, b"GET", b"/models/churn", {b"authorization": b"Basic YTpi"}, b"")
        assert caller.heard[0][0] == 200, "what a proxy in front uses is none of ours"
        runtime.access.follow(())
        assert not runtime.access.watches
        assert asked(service, address, "revoked")[0] == 200

    desk(work, required=False)


def test_a_key_is_found_however_it_is_sent_and_ends_with_the_snapshot(tmp_path: Path) -> None:
    access = Access(tmp_path, required=True)
    access.follow(KEYS)
    for sent in ((b"Bearer mmk_all", None), (b"bearer  mmk_all", None), (None, b"mmk_all"), (b"Basic x", b"mmk_all")):
        for _ in range(2):
            assert access.admit(sent, Need.PREDICT, "churn") == b"key all"
    access.follow(KEYS[1:])
    for sent in ((b"Bearer mmk_all", None), (None, b"mmk_all"), (None, None), (b"Bearer other", None)):
        with pytest.raises(NoKey):
            access.admit(sent, Need.PREDICT, "churn")
    counted = Metrics(None)
    access.admit((b"Bearer mmk_predict",), Need.PREDICT, "churn")
    access.count(counted)
    access.count(counted)
    assert counted.counters == {'modelmark_key_requests_total{key="predict"}': 1}


def test_a_rate_holds_for_all_workers_of_a_machine_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(at=1000.0)
    monkeypatch.setattr("modelmark.serving.entry.quota.monotonic", lambda: now.at)
    workers = [Access(tmp_path, required=True) for _ in range(2)]
    for worker in workers:
        worker.follow((made("often", PREDICT, rate=10.0),))
    for turn in range(round(BURST * 10)):
        workers[turn % 2].admit((b"mmk_often",), Need.PREDICT, "churn")
    for worker in workers:
        with pytest.raises(OverQuota) as caught:
            worker.admit((b"mmk_often",), Need.PREDICT, "churn")
        assert caught.value.retry_after == 1
    now.at += 0.5
    for turn in range(5):
        workers[turn % 2].admit((b"mmk_often",), Need.PREDICT, "churn")
    with pytest.raises(OverQuota):
        workers[0].admit((b"mmk_often",), Need.PREDICT, "churn")
    workers[0].follow(())
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_of_before_the_machine_started_anew_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelmark.serving.entry.quota.monotonic", lambda: 1e6)
    Quota(tmp_path / "k", 0.1).take()
    monkeypatch.setattr("modelmark.serving.entry.quota.monotonic", lambda: 5.0)
    Quota(tmp_path / "k", 0.1).take()
    with pytest.raises(OverQuota) as caught:
        Quota(tmp_path / "k", 0.1).take()
    assert caught.value.retry_after == 10


def test_every_call_over_grpc_has_its_need_and_keeps_it(desk: Any) -> None:
    async def work(runtime: Runtime, service: Service) -> None:
        server = GrpcServer(runtime, host="127.0.0.1", port=0, max_message=1 << 20, max_calls=16)
        port = await server.start()
        try:
            known = {
                f"/{service_.full_name}/{method.name}"
                for file in (open_inference_pb2, tensorflow_serving_pb2, labels_pb2)
                for service_ in file.DESCRIPTOR.services_by_name.values()
                for method in service_.methods
            }
            assert known == {call for call in NEEDS if not call.startswith("/grpc.")}
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                for call, need in NEEDS.items():
                    if call.endswith(("Watch", "ServerReflectionInfo")):
                        continue
                    assert (await _code(channel, call) == "UNAUTHENTICATED") is (need is not Need.OPEN), call
                    for one in KEYS:
                        code = await _code(channel, call, one.id)
                        refused = code in ("UNAUTHENTICATED", "PERMISSION_DENIED")
                        if need is Need.OPEN:
                            assert not refused, (call, one.id)
                        elif one.id not in ("other", "bound"):
                            told = one.id not in OPENED_BY[need]
                            assert refused is told or call.endswith(("Load", "Unload", "ConfigRequest")), (call, one.id)
        finally:
            await server.drain(0.1)

    desk(work)


def test_over_grpc_a_model_that_the_key_is_not_for_is_as_one_that_there_is_not(desk: Any) -> None:
    async def work(runtime: Runtime, service: Service) -> None:
        server = GrpcServer(runtime, host="127.0.0.1", port=0, max_message=1 << 20, max_calls=16)
        port = await server.start()
        inference = "/inference.GRPCInferenceService/"
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                for call, message in (
                    ("ModelInfer", open_inference_pb2.ModelInferRequest(model_name="churn")),
                    ("ModelMetadata", open_inference_pb2.ModelMetadataRequest(name="churn")),
                    ("ModelStatistics", open_inference_pb2.ModelStatisticsRequest()),
                ):
                    assert await _code(channel, inference + call, "other", message) == "NOT_FOUND", call
                ready = open_inference_pb2.ModelReadyRequest(name="churn")
                heard = [await _answer(channel, inference + "ModelReady", key, ready) for key in ("other", "bound")]
                told = [open_inference_pb2.ModelReadyResponse.FromString(one).ready for one in heard]
                assert told == [False, True]
                spec = tensorflow_serving_pb2.GetModelStatusRequest()
                spec.model_spec.name = "churn"
                assert (
                    await _code(channel, "/tensorflow.serving.ModelService/GetModelStatus", "other", spec)
                    == "NOT_FOUND"
                )
        finally:
            await server.drain(0.1)

    desk(work)


async def _answer(channel: Any, call: str, key: str | None, message: Any = None) -> bytes:
    shown = () if key is None else (("authorization", f"Bearer mmk_{key}"),)
    body = b"" if message is None else message.SerializeToString()
    if call.endswith("StreamInfer"):
        stream = channel.stream_stream(call)(iter([body]), metadata=shown)
        return bytes(await anext(aiter(stream)))
    return bytes(await channel.unary_unary(call)(body, metadata=shown, timeout=10))


async def _code(channel: Any, call: str, key: str | None = None, message: Any = None) -> str:
    try:
        await _answer(channel, call, key, message)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


def test_for_one_model_alone_is_told_apart_from_another_model(tmp_path: Path) -> None:
    access = Access(tmp_path, required=True)
    access.follow(KEYS)
    with pytest.raises(Missing):
        access.admit((b"mmk_bound",), Need.PREDICT, "loans")
