"""A real worker on loopback: answers, refusals, framing."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import socket
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.contract import Serving
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Labelled, Predicted, Refused
from modelmark.serving.predictor import LocalPredictor
from modelmark.serving.runtime import METRICS_AGE
from modelmark.serving.supervisor import running

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    agreed = case.contract(serving=Serving(deadline_ms=5000, max_rows=2000, max_body_bytes=1_000_000))
    found = case.build(tmp_path_factory.mktemp("workspace"), agreed)
    case.release(found)
    return found


@pytest.fixture(scope="module")
def port(built):
    with running(built.workspace, worker_options=("--seal-after", "0.1")) as supervisor:
        yield supervisor.port


@pytest.fixture
def client(port):
    with Client(f"http://127.0.0.1:{port}") as found:
        yield found


def raw(port: int, data: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes, read until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as s:
        with contextlib.suppress(OSError):  # the server had enough; its answer still counts
            s.sendall(data)
        found = b""
        while True:
            try:
                piece = s.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return found
            if not piece:
                return found
            found += piece


def http(port: int, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, dict[str, str], bytes]:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    answer = raw(port, head.encode() + b"\r\n" + body)
    top, _, rest = answer.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), rest


def journal(built) -> list:
    return [record for file in sealed_segments(built.workspace.wal) for record in read_segment(file).records]


def eventually(check, seconds: float = 10.0):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_the_endpoint_answers_as_the_predictor_does_and_the_journal_has_it(built, client):
    rows = [case.row(built, value) for value in (0.1, -3.0, 7.5)]
    prediction = client.predict("churn", rows, entity="anna")
    expected = LocalPredictor.of_candidate(built.folder, built.id).predict(rows)
    assert [list(a.probabilities.values()) for a in prediction.answers] == expected
    assert (prediction.version, prediction.arm, prediction.served_by) == ("v1", "champion", "model")
    eventually(lambda: any(isinstance(r, Predicted) and r.id == prediction.id for r in journal(built)))
    (record,) = [r for r in journal(built) if isinstance(r, Predicted) and r.id == prediction.id]
    assert (record.rows, record.entity, record.version) == (3, "anna", built.id)


def test_one_request_and_many_rows_answer_alike(built, client):
    rows = [case.row(built, value / 10) for value in range(600)]
    together = client.predict("churn", rows).answers
    assert [client.predict("churn", [row]).answers[0] for row in rows[::60]] == list(together[::60])


def recorded(built, id: str) -> Predicted:
    eventually(lambda: any(isinstance(r, Predicted) and r.id == id for r in journal(built)))
    return next(r for r in journal(built) if isinstance(r, Predicted) and r.id == id)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/churn/predict", lambda row: {"row": row}),
        ("/v1/models/churn:predict", lambda row: {"instances": [row]}),
        ("/v2/models/churn/infer", lambda row: {"inputs": [case.tensor(k, v) for k, v in row.items()]}),
        ("/invocations", lambda row: {"dataframe_records": [row]}),
    ],
)  # fmt: skip
def test_every_protocol_may_say_when_it_happened(built, port, path, body):
    moment = (datetime.now(UTC) - timedelta(hours=5)).replace(microsecond=0)
    sent = json.dumps(body(case.row(built))).encode()
    form = "Content-Type: application/json\r\n"
    status, headers, answer = http(port, "POST", path, sent, f"{form}x-modelmark-at: {moment.isoformat()}\r\n")
    assert status == 200, answer
    said = json.loads(answer)
    id = headers.get("x-modelmark-prediction-id") or said.get("parameters", {}).get("prediction_id") or said["id"]
    assert int.from_bytes(recorded(built, id).event, "little") == int(moment.timestamp()) * 10**9
    status, _, answer = http(port, "POST", path, sent, f"{form}x-modelmark-at: 2026-11-28\r\n")
    assert status in (400, 422)
    assert "moment" in str(json.loads(answer))


def test_a_native_body_says_when_it_happened_and_a_label_since_when_it_is_true(built, client, port):
    moment = (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=250_000)
    prediction = client.predict("churn", [case.row(built)], at=moment)
    nanoseconds = int(moment.timestamp() * 1_000_000) * 1000
    assert int.from_bytes(recorded(built, prediction.id).event, "little") == nanoseconds
    assert client.label("churn", [(prediction.id, 0, 1)], at=moment + timedelta(days=1)) == 1
    eventually(lambda: any(isinstance(r, Labelled) and r.prediction == prediction.id for r in journal(built)))
    (label,) = [r for r in journal(built) if isinstance(r, Labelled) and r.prediction == prediction.id]
    assert label.event == nanoseconds + 86_400 * 10**9
    for said in (datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1), datetime(2026, 11, 28)):
        with pytest.raises(Rejected) as refusal:
            client.predict("churn", [case.row(built)], at=said)
        assert (refusal.value.code, refusal.value.field) == ("BAD_TIME", "at")
    with pytest.raises(Rejected) as refusal:
        client.label("churn", [(prediction.id, 0, 1)], at=datetime.now(UTC) + timedelta(hours=1))
    assert (refusal.value.code, refusal.value.row) == ("BAD_TIME", 0)
    twice = b'{"row": %s, "at": "%s", "at": null}' % (
        json.dumps(case.row(built)).encode(), moment.isoformat().encode(),
    )  # fmt: skip
    status, _, answer = http(port, "POST", "/models/churn/predict", twice, "Content-Type: application/json\r\n")
    assert (status, json.loads(answer)["code"]) == (422, "DUPLICATE_FIELD")


def test_labels_are_in_the_journal_when_they_are_taken(built, client):
    prediction = client.predict("churn", [case.row(built)])
    assert client.label("churn", [(prediction.id, 0, 1)]) == 1
    eventually(lambda: any(isinstance(r, Labelled) and r.prediction == prediction.id for r in journal(built)))


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ([("0" * 32, 0, 7)], "BAD_LABEL"),
        ([("0" * 32, 0, True)], "BAD_LABEL"),
        ([("short", 0, 1)], "BAD_ID"),
        ([("z" * 32, 0, 1)], "BAD_ID"),
        ([("F" * 32, 0, 1)], "BAD_ID"),
        ([("٣" * 32, 0, 1)], "BAD_ID"),
        ([("0" * 32, 2**31, 1)], "OUT_OF_RANGE"),
        ([("0" * 32, -1, 1)], "OUT_OF_RANGE"),
        ([], "NO_LABELS"),
    ],
)
def test_a_wrong_label_is_refused(client, labels, code):
    with pytest.raises(Rejected) as refusal:
        client.label("churn", labels)
    assert refusal.value.code == code


def test_a_label_of_an_id_that_nobody_ever_gave_is_kept_aside_and_said_to_be(built, client):
    ours, made_up, later = (
        client.predict("churn", [case.row(built)]).id,
        "0" * 20 + "7" + "0" * 11,
        "0fffffffffff" + 8 * "a" + "1" + 11 * "0",
    )
    body = {"labels": [{"id": id, "label": 1} for id in (ours, made_up, later)]}
    assert client._post("/models/churn/labels", body) == {"accepted": 1, "unknown": 2}
    kept = lambda: {r.prediction for r in journal(built) if isinstance(r, Labelled)}  # noqa: E731
    eventually(lambda: {ours, made_up, later} <= kept())  # they count should such a prediction ever come


def test_labels_for_one_row_in_one_request_are_one_or_in_conflict(built, client):
    same, differ = (client.predict("churn", [case.row(built)]).id for _ in range(2))
    items = [(same, 1), (same, 1.0), (same, "1"), (differ, 1), (differ, 0), (differ, 1.0)]
    body = {"labels": [{"id": id, "label": said} for id, said in items]}
    found = client._post("/models/churn/labels", body)
    assert found == {"accepted": 1, "duplicates": 2, "conflicting": 3}

    def kept() -> dict[str, list[object]]:
        said = [r for r in journal(built) if isinstance(r, Labelled)]
        return {id: [r.label for r in said if r.prediction == id] for id in (same, differ)}

    eventually(lambda: kept() == {same: [1], differ: [1, 0]})


def test_a_label_for_a_row_that_its_prediction_has_not_is_refused(built, client):
    two = client.predict("churn", [case.row(built)] * 2).id
    assert client.label("churn", [(two, 1, 1)]) == 1
    for said, code in ({"row": 99}, "OUT_OF_RANGE"), ({}, "MISSING_FIELD"):
        with pytest.raises(Rejected) as refusal:
            client._post("/models/churn/labels", {"labels": [{"id": two, "label": 1, **said}]})
        assert (refusal.value.code, refusal.value.field, refusal.value.limit) == (code, "row", "0 to 1")


def test_a_source_that_is_too_long_is_named(client):
    with pytest.raises(Rejected) as refusal:
        client.label("churn", [("0" * 32, 0, 1)], source="x" * 65)
    assert (refusal.value.code, refusal.value.field) == ("TOO_LONG", "source")


def test_refusals_are_counted_in_the_journal(built, client):
    with pytest.raises(Rejected) as refusal:
        client.predict("churn", [case.row(built) | {"f1": 1e6}])
    assert (refusal.value.code, refusal.value.field, refusal.value.row) == ("OUT_OF_RANGE", "f1", 0)
    eventually(lambda: any(isinstance(r, Refused) and r.field == "f1" for r in journal(built)))


def test_an_unknown_model_is_missing(built, client):
    with pytest.raises(Missing):
        client.predict("nobody", [case.row(built)])


def infer(port: int, **message) -> tuple[int, dict]:
    status, _, body = http(port, "POST", "/v2/models/churn/infer", json.dumps(message).encode())
    return status, json.loads(body)


def tensor(name: str, data, datatype: str = "FP64", shape=None) -> dict:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


COLUMNS = ("f0", "f1", "f2")


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param([tensor(n, [0.5, 1.5]) for n in COLUMNS], id="a tensor per column"),
        pytest.param([tensor(n, [[0.5], [1.5]], shape=[2, 1]) for n in reversed(COLUMNS)], id="nested, reordered"),
        pytest.param([tensor("X", [0.5] * 3 + [1.5] * 3, "FP32", [2, 3])], id="one matrix, flat"),
        pytest.param([tensor("X", [[0.5] * 3, [1.5] * 3], "FP32", [2, 3])], id="one matrix, nested"),
    ],
)
def test_the_open_inference_protocol_answers_as_the_native_one(built, port, client, inputs):
    native = client.predict("churn", [case.row(built, 0.5), case.row(built, 1.5)])
    status, answer = infer(port, inputs=inputs, id="mine")
    assert (status, answer["id"], answer["model_version"]) == (200, "mine", "v1")
    outputs = {o["name"]: o for o in answer["outputs"]}
    assert outputs["label"]["data"] == [a.label for a in native.answers]
    assert outputs["probabilities"]["data"] == [p for a in native.answers for p in a.probabilities.values()]
    assert len(answer["parameters"]["prediction_id"]) == 32


GOOD = [tensor(n, [0.5]) for n in COLUMNS]


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"inputs": []}, 400, "NO_INPUTS"),
        ({"inputs": GOOD[:2]}, 422, "MISSING_COLUMN"),
        ({"inputs": [*GOOD, tensor("x", [1])]}, 422, "UNKNOWN_COLUMN"),
        ({"inputs": [*GOOD, GOOD[0]]}, 400, "DUPLICATE_COLUMN"),
        ({"inputs": [*GOOD[:2], tensor("f2", [1, 2])]}, 400, "BAD_SHAPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [1, 2], shape=[1])]}, 400, "BAD_SHAPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [1], shape=[-1])]}, 400, "BAD_SHAPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", ["1"])]}, 400, "WRONG_TYPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [True])]}, 400, "WRONG_TYPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [300], "INT8")]}, 422, "OUT_OF_RANGE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [1], "FP8")]}, 400, "BAD_DATATYPE"),
        ({"inputs": [*GOOD[:2], tensor("f2", [1000])]}, 422, "OUT_OF_RANGE"),
        ({"inputs": [tensor("X", [[1, 2], [3]], "FP32", [2, 3])]}, 400, "BAD_SHAPE"),
        ({"inputs": [tensor("X", [], "FP32", [0, 3])]}, 422, "NO_ROWS"),
        ({"inputs": [tensor("X", [1], "FP32", [10**18, 3])]}, 422, "TOO_MANY_ROWS"),
        ({"inputs": GOOD, "outputs": [{"name": "nope"}]}, 400, "UNKNOWN_OUTPUT"),
        ({"inputs": 5}, 400, "BAD_REQUEST"),
        ({"inputs": GOOD, "parameters": {"a": [1]}}, 400, "BAD_REQUEST"),
    ],
)
def test_the_open_inference_protocol_refuses(port, message, status, code):
    found, answer = infer(port, **message)
    assert (found, answer["code"]) == (status, code)
    assert isinstance(answer["error"], str), "tritonclient reads it as text"


def test_a_version_may_be_named_only_if_it_serves(built, port):
    body = json.dumps({"inputs": GOOD}).encode()
    for name in ("v1", "1", built.id.short):
        assert http(port, "POST", f"/v2/models/churn/versions/{name}/infer", body)[0] == 200
    assert http(port, "POST", "/v2/models/churn/versions/2/infer", body)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("HEAD", "/v2/health/ready", 200),
        ("GET", "/v2/models/churn", 200),
        ("GET", "/v2/models/churn/versions/1/ready", 200),
        ("GET", "/v2/models/nobody", 404),
        ("GET", "/models/churn?x=1", 200),
        ("GET", "/metrics", 200),
        ("GET", "/models/churn/predict", 405),
        ("DELETE", "/models/churn", 405),
        ("GET", "/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("CONNECT", "x:1", 404),
        ("OPTIONS", "*", 404),
    ],
)
def test_addresses(port, method, path, status):
    found, headers, body = http(port, method, path)
    assert found == status
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:x_", True), ("a b", False), ("x" * 129, False), ('"><script>', False)]
)
def test_a_request_id_comes_back_when_it_is_harmless(port, given, kept):
    _, headers, _ = http(port, "GET", "/v2", headers=f"X-Request-Id: {given}\r\n")
    assert (headers["x-request-id"] == given.lower()) == kept


LINE = b"POST /models/churn/predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="CL and TE"),
        pytest.param(LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400, id="TE and CL"),
        pytest.param(LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400, id="two lengths"),
        pytest.param(LINE + b"Content-Length: +2\r\n\r\n{}", 400, id="signed length"),
        pytest.param(LINE + b"Content-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(LINE + b"Content-Length: 99999999999999999999999\r\n\r\n", 400, id="length beyond 64 bits"),
        pytest.param(LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, id="gzip coding"),
        pytest.param(LINE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, id="bad chunk size"),
        pytest.param(LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX", 400, id="bad chunk end"),
        pytest.param(LINE + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000, 400, id="endless extension"),
        pytest.param(LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 65_537, 413, id="65,537 chunks"),
        pytest.param(
            LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 9000 + b"\r\n", 431, id="huge trailers"
        ),
        pytest.param(LINE + b"Host: other\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /v2 HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, id="somebody else's host"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 421, id="a user before the host"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost: localhost:1:1\r\n\r\n", 421, id="two ports"),
        pytest.param(
            b"GET /v2 HTTP/1.1\r\nHost: localhost:" + b"1" * 5000 + b"\r\n\r\n", 421, id="5,000 digits of port"
        ),
        pytest.param(LINE + b"X: a\r\n b\r\n\r\n", 400, id="folded header"),
        pytest.param(LINE + b"X : a\r\n\r\n", 400, id="space before colon"),
        pytest.param(LINE.replace(b"\r\n", b"\n") + b"\n", 400, id="bare line feeds"),
        pytest.param(LINE + b"X: a\0b\r\n\r\n", 400, id="NUL"),
        pytest.param(LINE + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431, id="70 KB header"),
        pytest.param(LINE + b"X: " + b"a" * 70_000, 431, id="70 KB header without an end"),
        pytest.param(LINE + b"X: a\r\n" * 10_000 + b"\r\n", 431, id="10,000 headers"),
        pytest.param(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, id="1 MB address"),
        pytest.param(LINE + b"Content-Length: 1000001\r\n\r\n", 413, id="declared one byte too much"),
        pytest.param(LINE + b"Content-Length: 1073741824\r\n\r\n", 413, id="declared 1 GB"),
        pytest.param(
            LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n" * 1, 0, id="unfinished"
        ),
        pytest.param(
            LINE + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 16,
            413,
            id="chunked",
        ),
        pytest.param(LINE + b"Expect: magic\r\nContent-Length: 2\r\n\r\n{}", 417, id="unknown expectation"),
        pytest.param(LINE + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}", 400, id="h2c, body"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 preface"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(LINE + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400, id="not what it says"),
        pytest.param(LINE + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", 415, id="compressed"),
        pytest.param(LINE + b"Content-Type: text/csv\r\nContent-Length: 2\r\n\r\n{}", 415, id="CSV"),
    ],
)
def test_framing(port, data, status):
    answer = raw(port, data, seconds=1.5)
    assert (int(answer.split()[1]) if answer else 0) == status
    assert answer.count(b"HTTP/1.1 ") == (1 if answer else 0), "one answer per broken connection"
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "path", ["/models/churn/labels", "/models/none/labels", "/v2/models/churn/infer", "/v2", "/metrics", "/nowhere"]
)
def test_no_route_takes_a_body_without_end(port, path):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    assert raw(port, head + b"Content-Length: 1073741824\r\n\r\n", seconds=1.5).split()[1] == b"413"
    endless = (b"10000\r\n" + b" " * 65536 + b"\r\n") * 300
    assert raw(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + endless, seconds=1.5).split()[1] == b"413"
    deep = b"[" * 100_000
    answer = raw(port, head + b"Connection: close\r\nContent-Length: 100000\r\n\r\n" + deep, seconds=1.5)
    assert 400 <= int(answer.split()[1]) < 500


def test_an_upgrade_without_a_body_is_ignored(port):
    answer = raw(port, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(built, port):
    body = json.dumps({"rows": [case.row(built)]}).encode()
    one = LINE + b"X-Request-Id: r%d\r\nContent-Length: %d\r\n\r\n" + body
    quick = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r%d\r\n\r\n"
    data = b"".join(one % (n, len(body)) if n % 2 else quick % n for n in range(200))
    answer = raw(port, data + b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    ids = [
        line.removeprefix(b"x-request-id: r") for line in answer.split(b"\r\n") if line.startswith(b"x-request-id: r")
    ]
    assert [int(id) for id in ids] == list(range(200))


def test_a_waiting_client_is_told_to_continue(built, port):
    body = json.dumps({"rows": [case.row(built)]}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(LINE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert s.recv(100).startswith(b"HTTP/1.1 100")
        s.sendall(body)
        assert s.recv(4096).startswith(b"HTTP/1.1 200")


def test_slow_clients_are_cut_and_others_do_not_notice(built, port, client):
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    for index, s in enumerate(slow):
        s.sendall(LINE if index % 2 else LINE + b"Content-Length: 100\r\n\r\n{")
    until = time.monotonic() + 9
    while time.monotonic() < until:
        for s in slow:
            s.send(b"X" if slow.index(s) % 2 else b" ")
        client.predict("churn", [case.row(built)])
        time.sleep(0.5)
    for s in slow:
        s.settimeout(until + 5 - time.monotonic())
        assert s.recv(4096).startswith(b"HTTP/1.1 408")
        s.close()


@pytest.mark.parametrize("what", ["objects", "keys", "brackets", "many rows"])
@pytest.mark.parametrize("path", ["/models/churn/predict", "/v2/models/churn/infer", "/models/churn/labels"])
def test_large_bodies_are_refused_while_others_are_answered(port, path, what):
    """Just under the body's limit, eight at a time."""
    body = {
        "objects": b'{"rows":[' + b'{"a":1},' * 120_000 + b"{}]}",
        "keys": b'{"rows":[{' + b",".join(b'"k%d":1' % i for i in range(80_000)) + b"}]}",
        "brackets": b"[" * 990_000,
        "many rows": b'{"rows":[' + b'{"f0":1,"f1":2,"f2":3},' * 40_000 + b"{}]}",
    }[what]
    with ThreadPoolExecutor(8) as beside:
        sent = [beside.submit(http, port, "POST", path, body) for _ in range(8)]
        started = time.monotonic()
        assert http(port, "GET", "/v2/health/live")[0] == 200
        assert time.monotonic() - started < 2
        for one in sent:
            status, _, answer = one.result()
            assert status in (400, 422), answer
            assert json.loads(answer)["code"] != "INTERNAL"


def test_a_large_body_that_is_right_is_answered_as_its_rows_are_one_by_one(built, port, client):
    rows = [case.row(built, value / 100) for value in range(2000)]
    padding = " " * 300_000
    status, _, answer = http(port, "POST", "/models/churn/predict", (json.dumps({"rows": rows}) + padding).encode())
    assert status == 200
    found = json.loads(answer)["predictions"]
    for index in range(0, 2000, 400):
        (alone,) = client.predict("churn", [rows[index]]).answers
        assert list(found[index]["probabilities"].values()) == list(alone.probabilities.values())


def test_a_large_body_with_a_wrong_row_is_refused_with_its_place(built, port):
    rows = [case.row(built)] * 1500 + [case.row(built) | {"f1": "x"}]
    for padding in ("", " " * 300_000):
        status, _, answer = http(port, "POST", "/models/churn/predict", (json.dumps({"rows": rows}) + padding).encode())
        facts = json.loads(answer)
        assert (status, facts["code"], facts["field"], facts["row"]) == (422, "WRONG_TYPE", "f1", 1500)


def test_thousands_of_requests_in_one_write_hold_nobody_else_up(port):
    """5,000 times /metrics in 210 kB: the connection gets all its answers, others are served meanwhile."""
    flood = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s, ThreadPoolExecutor(1) as beside:
        sent = beside.submit(s.sendall, flood)
        started = time.monotonic()
        assert http(port, "GET", "/v2/health/live")[0] == 200
        assert time.monotonic() - started < 2
        answers, end = 0, b""
        while answers < 5000:
            piece = end + s.recv(1 << 20)
            answers += piece.count(b"HTTP/1.1 200")
            end = piece[-11:]
        sent.result()


def test_metrics_add_up(built, port, client):
    def total() -> float:
        text = http(port, "GET", "/metrics")[2].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("modelmark_rows_total{"))

    time.sleep(METRICS_AGE)
    before = total()
    client.predict("churn", [case.row(built)] * 5)
    eventually(lambda: total() == before + 5)


def test_a_bare_nan_is_malformed_whatever_else_is_sent(built, port):
    body = json.dumps({"rows": [case.row(built) | {"f0": float("nan")}]}).encode()
    status, _, answer = http(port, "POST", "/models/churn/predict", body)
    assert (status, json.loads(answer)["code"]) == (400, "NON_FINITE")
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises((Malformed, Rejected)):
        client.predict("churn", [{"f0": float("nan")}])


@pytest.mark.skipif(not (SHARED / "json_test_suite.tar.gz").exists(), reason="../shared/data is not here")
def test_the_json_test_suite_meets_no_server_error(port):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress((SHARED / "json_test_suite.tar.gz").read_bytes()))) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    parsing = {
        Path(n).name: data
        for n, data in files.items()
        if Path(n).name[:2] in ("y_", "n_", "i_") and n.endswith(".json")
    }
    assert len(parsing) >= 318
    for address in ("/models/churn/predict", "/v2/models/churn/infer", "/models/churn/labels"):
        wrong = {}
        for name, data in parsing.items():
            status = http(port, "POST", address, data or b" ")[0]
            allowed = {"y": (422, 400), "n": (400,), "i": (400, 422)}[name[0]]
            if status not in allowed or (name[0] == "y" and status == 400 and "infer" not in address):
                wrong[name] = status
        assert wrong == {}, address


def test_raw_tensors_go_in_and_out_by_the_open_inference_protocol(port):
    raw = np.full((2, 3), 0.5, "<f4").tobytes()
    inputs = [{"name": "X", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}]
    head = json.dumps({"id": "7", "inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    status, headers, body = http(
        port, "POST", "/v2/models/churn/infer", head + raw, f"Inference-Header-Content-Length: {len(head)}\r\n"
    )
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    length = int(headers["inference-header-content-length"])
    said = json.loads(body[:length])
    assert said["id"] == "7"
    assert [output["parameters"]["binary_data_size"] for output in said["outputs"]] == [16, 32]
    probabilities = np.frombuffer(body[length + 16 :], "<f8").reshape(2, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(("path", "length"), [("/models/churn/predict", "2"), ("/v2/models/churn/infer", "-1")])
def test_framing_that_makes_no_sense_is_refused(port, path, length):
    status, _, body = http(port, "POST", path, b"{}\0\0", f"Inference-Header-Content-Length: {length}\r\n")
    assert (status, json.loads(body)["code"]) in [(400, "BINARY_NOT_SUPPORTED"), (400, "BAD_BINARY")]


def answers(port: int, *pieces: bytes) -> list[dict]:
    """Send pieces one by one on one connection, each after the answer to the one before; the bodies that came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        found = b""
        for number, piece in enumerate(pieces, start=1):
            s.sendall(piece)
            while found.count(b"HTTP/1.1 ") < number or not found.endswith(b"}"):
                found += s.recv(65536)
        s.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while more := s.recv(65536):
                found += more
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in found.split(b"HTTP/1.1 ")[1:]]


def post(path: str, body: bytes, more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def one(value: float) -> bytes:
    return json.dumps({"row": {"f0": value, "f1": 0.5, "f2": 0.5}}).encode()


def test_the_same_head_again_answers_the_new_body(port):
    path = "/models/churn/predict"
    values = [0.5, 9.5, 0.5, -9.5]
    found = answers(port, *[post(path, one(v).ljust(60)) for v in values])
    alone = [json.loads(http(port, "POST", path, one(v))[2]) for v in values]
    assert [a["predictions"] for a in found] == [a["predictions"] for a in alone]
    assert found[0]["predictions"] != found[1]["predictions"]
    assert len({a["id"] for a in found}) == 4


def test_the_same_head_again_is_refused_for_its_own_body(port):
    path = "/models/churn/predict"
    found = answers(port, *[post(path, body.ljust(60)) for body in (one(0.5), one(1e9), b"{", one(0.5))])
    assert [a.get("code") for a in found] == [None, "OUT_OF_RANGE", "BAD_JSON", None]


def test_two_requests_in_one_piece_stay_two_however_often_they_come(port):
    pair = post("/models/churn/predict", one(0.5)) * 2
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        found = b""
        for number in (1, 2, 3):
            s.sendall(pair)
            while found.count(b"HTTP/1.1 200") < 2 * number:
                found += s.recv(65536)
        s.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            found += s.recv(65536)
    assert found.count(b"HTTP/1.1 200") == 6


def test_a_known_head_followed_by_more_or_less_than_its_body_is_read_anew(port):
    path = "/models/churn/predict"
    whole = post(path, one(0.5))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        found = b""
        for number, pieces in enumerate(
            ([whole], [whole[:-5], whole[-5:]], [whole], [whole + whole[:40], whole[40:]]), 1
        ):
            for piece in pieces:
                s.sendall(piece)
                time.sleep(0.05)
            wanted = number if number < 4 else 5
            while found.count(b"HTTP/1.1 200") < wanted:
                found += s.recv(65536)
    assert found.count(b"HTTP/1.1 ") == 5


def test_blank_lines_between_requests_do_not_shift_bodies(port):
    body = b"\r\n" + one(0.5) + b"\r\n"
    assert [a.get("code") for a in answers(port, *[post("/models/churn/predict", body) + b"\r\n"] * 3)] == [None] * 3


def test_a_request_id_is_never_taken_from_an_earlier_request(port):
    first = post("/models/churn/predict", one(0.5), "X-Request-Id: mine-1\r\n")
    second = post("/models/churn/predict", one(0.5), "X-Request-Id: mine-2\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        for data, id in ((first, b"mine-1"), (first, b"mine-1"), (second, b"mine-2")):
            s.sendall(data)
            assert b"x-request-id: " + id + b"\r\n" in s.recv(65536)
