"""A model on another server is guarded here: asked as its protocol says, held to what it answered, and never waited for long."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import pandas as pd
import pytest

import serving_case as case
from modelmark import Client
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import rows_of
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.errors import Malformed, ModelmarkError, NotYet, OutputInvalid, Rejected
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.domain.version import ANSWERED, PLACE, UPSTREAM, Feed, Signature
from modelmark.registry import sandbox
from modelmark.registry.convert import Conversion, convert
from modelmark.registry.drafting.inspect import inspect
from modelmark.seal import keys
from modelmark.seal.digests import plain
from modelmark.seal.envelope import wrap
from modelmark.seal.files import replace_file
from modelmark.seal.snapshot import SNAPSHOT_TYPE
from modelmark.serving.execution import REMOTE_THREADS, Execution
from modelmark.serving.flavours import Model
from modelmark.serving.models import LiveRoute, load_candidate
from modelmark.serving.runtime import Runtime
from modelmark.serving.supervisor import running
from modelmark.testing.flavours import check_flavour
from modelmark.upstream import asking
from modelmark.upstream.asking import Golden, Pinned, Upstream
from modelmark.upstream.settings import Protocol, Settings, names_upstream, read

NAMES = ["f0", "f1", "f2"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)), columns=NAMES)
SIGNATURE = Signature(
    feeds=tuple(Feed(graph_input=name, columns=(name,), dtype="float64") for name in NAMES), score_output="scores"
)
NUMBERS = FRAME.to_numpy()


def taken(folder: Path, text: str, agreed=None) -> Conversion:
    (folder / "upstream.yaml").write_text(text)
    return convert(
        folder / "upstream.yaml", agreed or case.contract(), FRAME, limits=sandbox.Limits(), progress=lambda _: None
    )


@pytest.fixture(scope="module")
def another(tmp_path_factory) -> Iterator[str]:
    """A real server that speaks all three protocols."""
    built = case.build(tmp_path_factory.mktemp("another"))
    case.release(built)
    with running(built.workspace) as server:
        yield server.address


PLACES = {
    Protocol.V2: "protocol: v2\nurl: {}\nmodel: churn\n",
    Protocol.TENSORFLOW_SERVING: "protocol: tensorflow_serving\nurl: {}\nmodel: churn\nversion: '1'\n",
    Protocol.MLFLOW: "protocol: mlflow\nurl: {}\nparams: {{predict_method: predict_proba}}\n",
}


@pytest.mark.parametrize("protocol", PLACES)
def test_it_answers_what_its_server_answers(tmp_path, another, protocol):
    found = taken(tmp_path, PLACES[protocol].format(another))
    assert (found.flavour, list(found.files), found.parity.flipped) == (UPSTREAM, [PLACE, ANSWERED], 0)
    with Client(another) as client:
        told = client.predict("churn", FRAME.to_dict("records"))
    expected = [[one.probabilities["0"], one.probabilities["1"]] for one in told.answers]
    np.testing.assert_allclose(found.scores, expected, atol=1e-7)
    model = Model(found.flavour, found.files, found.signature)
    execution = Execution.of(model, numeric=NAMES, textual=[], deadline=1.0)
    codec = RowCodec(case.contract(), found.signature)
    batch = codec.batch(codec.from_mappings(rows_of(FRAME, case.contract())))
    np.testing.assert_allclose(execution.run(batch.numbers, batch.texts), expected, atol=1e-7)
    assert execution.at_a_time == REMOTE_THREADS, "others need not wait for one answer"


def test_init_knows_one_by_its_content_and_its_inputs_by_name(tmp_path, another):
    (tmp_path / "place.txt").write_text(PLACES[Protocol.V2].format(another))
    found = inspect(tmp_path / "place.txt", known={*NAMES, "y"})
    assert (found.estimator, found.features) == ("upstream (v2)", tuple(NAMES))


class Told(BaseHTTPRequestHandler):
    """A v2 server that does as its `how` says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        inputs = [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in NAMES]
        outputs = [{"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]}]
        self._say(200, json.dumps({"inputs": inputs, "outputs": outputs, "versions": [self.server.version]}).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(dict(self.headers))
        self.server.bodies.append(asked)
        rows, how = asked["inputs"][0]["shape"][0], self.server.how
        if how == "elsewhere":
            self._say(302, b"", Location=self.server.elsewhere)
        elif how == "refuses":
            self._say(400, b'{"error": "no"}')
        elif how == "drips":
            self._drip()
        else:
            second = [0.25 if how == "same" else 0.75] * rows
            data = [value for p in second for value in (1 - p, p)]
            tensor = {"name": "probabilities", "datatype": "FP64", "shape": [rows, 2], "data": data}
            answer = {"outputs": [tensor]} if how != "odd" else {"outputs": [{**tensor, "data": ["a"] * 2 * rows}]}
            self._say(200, json.dumps(answer).encode())

    def _drip(self):
        """A byte every now and then, for as long as somebody listens: each comes in time, all of them never."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        try:
            while not self.server.over.wait(0.02):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            pass
        self.close_connection = True


@contextmanager
def told(**how) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    server.daemon_threads = True
    vars(server).update({"how": "same", "version": "1", "asked": [], "bodies": [], "over": threading.Event(), **how})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def settings(server: ThreadingHTTPServer, **changes) -> Settings:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return replace(Settings(protocol=Protocol.V2, url=url, model="churn", timeout_ms=200), **changes)


def there(server: ThreadingHTTPServer, clock=lambda: 0.0, **changes) -> Upstream:
    return Upstream(settings(server, **changes), SIGNATURE, numeric=NAMES, textual=[], classes=2, clock=clock)


def pinned(server: ThreadingHTTPServer, clock) -> Pinned:
    one = there(server, clock)
    golden = Golden(
        described=dict(one.describe()), numbers=NUMBERS[:4].tolist(), texts=[], scores=[[0.75, 0.25]] * 4
    )  # fmt: skip
    return Pinned(one, golden, clock=clock)


def test_it_keeps_what_every_flavour_promises(tmp_path, another):
    found = taken(tmp_path, PLACES[Protocol.V2].format(another))

    def kind(files, signature, *, numeric, textual):
        return Execution.of(Model(UPSTREAM, files, signature), numeric=numeric, textual=textual, deadline=1.0).flavour

    check_flavour(kind, found.files, found.signature, numeric=NAMES, numbers=NUMBERS[:3], width=2)


def test_a_slow_answer_is_given_up_in_all_however_its_bytes_come():
    with told(how="drips") as server:
        one = there(server)
        started = asking.monotonic()
        with pytest.raises(NotYet, match="the upstream does not answer: TimeoutError"):
            one.scores(NUMBERS, [])
        assert asking.monotonic() - started < 2, "0.2 s are granted"


def test_a_matrix_and_an_output_are_sent_and_asked_for_by_the_names_that_were_given():
    """Some servers say nothing of what they take, and answer something else unless asked."""
    with told() as server:
        there(server, input="x", output="probabilities").scores(NUMBERS, [])
        (body,) = server.bodies
        (tensor,) = body["inputs"]
        assert (tensor["name"], tensor["shape"], tensor["data"]) == ("x", [40, 3], NUMBERS.tolist())
        assert body["outputs"] == [{"name": "probabilities"}]


def test_after_three_failures_it_is_left_alone_and_one_request_tries_again():
    now = [100.0]
    with told(how="odd") as server:
        one = there(server, lambda: now[0])
        for _ in range(asking.STRIKES):
            with pytest.raises(OutputInvalid, match="none of its outputs"):
                one.scores(NUMBERS, [])
        with pytest.raises(NotYet, match="left alone"):
            one.scores(NUMBERS, [])
        assert len(server.asked) == asking.STRIKES, "nobody asked it"
        now[0] += asking.REST
        server.how = "same"
        assert one.scores(NUMBERS, []).tolist() == [[0.75, 0.25]] * 40
        assert one.scores(NUMBERS[:1], []).tolist() == [[0.75, 0.25]]


def test_rows_that_it_refuses_are_no_failure_of_its():
    with told(how="refuses") as server:
        one = there(server)
        for _ in range(asking.STRIKES + 1):
            with pytest.raises(Rejected, match="refuses these rows"):
                one.scores(NUMBERS, [])


def test_no_redirect_is_followed():
    with told() as other, told(how="elsewhere") as server:
        server.elsewhere = f"http://127.0.0.1:{other.server_address[1]}/v2/models/churn/infer"
        with pytest.raises(NotYet, match="it answers 302"):
            there(server).scores(NUMBERS, [])
        assert other.asked == []


def test_a_token_comes_from_the_environment_alone(monkeypatch):
    monkeypatch.setenv("CHURN_TOKEN", "s3cret")
    with told() as server:
        there(server, token="CHURN_TOKEN").scores(NUMBERS, [])
        assert server.asked[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("changed", "said"), [({"how": "other"}, "answers the rows"), ({"version": "2"}, "says otherwise of itself")]
)
def test_a_changed_upstream_is_noticed_in_time_and_trusted_again_when_it_is_back(changed, said):
    now = [100.0]
    with told() as server:
        one = pinned(server, lambda: now[0])
        before = {name: getattr(server, name) for name in changed}
        vars(server).update(changed)
        now[0] += asking.EVERY
        for _ in range(2):
            with pytest.raises(OutputInvalid, match=said) as caught:
                one.scores(NUMBERS, [])
            assert caught.value.code == "UPSTREAM_CHANGED"
        assert said in one.changed
        vars(server).update(before)
        now[0] += asking.AGAIN
        assert one.scores(NUMBERS, []).tolist() == [[0.75, 0.25]] * 40
        assert one.changed == ""


def test_a_changed_upstream_does_not_load():
    with told(how="other") as server, pytest.raises(OutputInvalid, match="answers the rows"):
        pinned(server, lambda: 0.0)


def test_one_that_is_gone_is_not_asked_before_it_was_seen_to_be_the_same():
    now = [100.0]
    with told() as server:
        described = dict(there(server).describe())
        golden = Golden(described=described, numbers=NUMBERS[:4].tolist(), texts=[], scores=[[0.75, 0.25]] * 4)
        server.how = "elsewhere"
        server.elsewhere = "http://127.0.0.1:1"
        one = Pinned(there(server, lambda: now[0]), golden, clock=lambda: now[0])
        assert "does not answer" in one.waiting
        server.asked.clear()
        with pytest.raises(NotYet, match="it was not seen yet"):
            one.scores(NUMBERS, [])
        assert server.asked == [], "nobody looks again before it is due"
        server.how = "same"
        now[0] += max(asking.AGAIN, asking.REST)
        until(lambda: not one.waiting)
        assert one.scores(NUMBERS, []).tolist() == [[0.75, 0.25]] * 40


def test_nobody_waits_for_one_that_says_nothing():
    """All it takes is a second, whatever its own patience is."""
    with told(how="drips") as server:
        described = dict(there(server).describe())
        golden = Golden(described=described, numbers=NUMBERS[:4].tolist(), texts=[], scores=[[0.75, 0.25]] * 4)
        started = asking.monotonic()
        one = Pinned(there(server, timeout_ms=60_000), golden)
        assert asking.FIRST <= asking.monotonic() - started < 10
        assert one.waiting


def until(holds, seconds: float = 10.0) -> None:
    end = asking.monotonic() + seconds
    while not holds():
        assert asking.monotonic() < end, "it never came to hold"
        threading.Event().wait(0.02)


def two_models(folder: Path, agreed, flavour_files) -> case.Built:
    """One workspace, its snapshot of an upstream's version and of a graph beside it."""
    far = case.build(folder, agreed, flavour=UPSTREAM, files=flavour_files.files, signature=flavour_files.signature)
    near = case.build(folder, case.contract(name="near"))
    routes = tuple(
        Route(model=one.contract.name, arms=(Arm(version=one.id, name="champion", weight=1.0),), previous=None)
        for one in (far, near)
    )
    snapshot = Snapshot(sequence=1, issued_at=case.NOW, routes=routes)
    replace_file(far.workspace.snapshot, wrap(plain(snapshot), SNAPSHOT_TYPE, keys.signer(far.workspace.keys)))
    return far


def test_a_worker_starts_without_it_answers_for_it_and_takes_it_up_when_it_is_back(tmp_path):
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.CONSTANT, value=1),))
    with told() as server:
        found = taken(tmp_path, f"protocol: v2\nurl: {settings(server).url}\nmodel: churn\n", agreed)
        built = two_models(tmp_path / "w", agreed, found)
        server.how, server.elsewhere = "elsewhere", "http://127.0.0.1:1"
        with running(built.workspace) as ours, Client(ours.address) as client:
            row = case.row(built)
            assert client.predict("near", [row]).served_by == "model"
            first = client.predict("churn", [row])
            assert (first.served_by, first.answers[0].label) == ("constant", 1)
            said = {m: httpx2.get(f"{ours.address}/v2/models/{m}/ready").status_code for m in ("near", "churn")}
            assert said == {"near": 200, "churn": 503}
            told_of = httpx2.get(f"{ours.address}/v2/health/ready").json()
            assert told_of["ready"], "the other model answers here"
            assert any("of churn waits: the upstream does not answer" in problem for problem in told_of["problems"])
            index = httpx2.post(f"{ours.address}/v2/repository/index").json()
            assert {one["name"]: one["state"] for one in index} == {"near": "READY", "churn": "UNAVAILABLE"}
            server.how = "same"
            until(lambda: client.predict("churn", [row]).served_by == "model", 20)
            until(lambda: httpx2.get(f"{ours.address}/v2/models/churn/ready").status_code == 200, 20)


def test_the_steward_hears_of_a_version_that_became_another_model(tmp_path):
    built = case.build(tmp_path)
    version = load_candidate(built.folder, built.id)
    runtime = SimpleNamespace(routes={"churn": LiveRoute.alone(version)})
    assert list(Runtime._astray(runtime)) == []
    version.execution.flavour = SimpleNamespace(astray="it is another")
    assert [said.rpartition(": ")[2] for said in Runtime._astray(runtime)] == ["it is another"]


def test_the_fallback_answers_when_it_is_gone(tmp_path):
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.CONSTANT, value=1),))
    with told() as server:
        found = taken(tmp_path, f"protocol: v2\nurl: {settings(server).url}\nmodel: churn\n", agreed)
        built = case.build(tmp_path / "w", agreed, flavour=UPSTREAM, files=found.files, signature=found.signature)
        case.release(built)
        with running(built.workspace) as ours, Client(ours.address) as client:
            first = client.predict("churn", [case.row(built)])
            assert (first.served_by, first.answers[0].score) == ("model", 0.25)
            server.how = "elsewhere"
            server.elsewhere = "http://127.0.0.1:1"
            later = [client.predict("churn", [case.row(built)]) for _ in range(asking.STRIKES + 2)]
            assert [(one.served_by, one.answers[0].label) for one in later] == [("constant", 1)] * len(later)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("protocol: v3\nurl: http://h", "protocol"),
        ("protocol: v2\nurl: http://h", "model"),
        ("protocol: v2\nurl: ftp://h\nmodel: m", "url"),
        ("protocol: v2\nurl: http://me:secret@h\nmodel: m", "url"),
        ("protocol: v2\nurl: http://h:99999\nmodel: m", "url"),
        ("protocol: v2\nurl: 'http://h/?key=1'\nmodel: m", "url"),
        ("protocol: v2\nurl: http://h\nmodel: m\ntimeout_ms: 0", "timeout_ms"),
        ("protocol: v2\nurl: http://h\nmodel: m\nversion: 3", "version"),
        ("protocol: tensorflow_serving\nurl: http://h\nmodel: m\nversion: one", "version"),
        ("protocol: v2\nurl: http://h\nmodel: m\ntoken: 'Bearer abc'", "token"),
        ("protocol: v2\nurl: http://h\nmodel: m\npassword: x", "password"),
        ("protocol: mlflow\nurl: http://h\nparams: {a: [1]}", "params"),
    ],
)
def test_a_file_that_names_no_upstream_says_which_field(text, field):
    assert names_upstream(text.encode())
    with pytest.raises(Malformed) as caught:
        read(text.encode())
    assert (caught.value.code, caught.value.field) == ("BAD_UPSTREAM", field)


def test_a_server_that_is_not_there_is_said_at_registration(tmp_path):
    with pytest.raises(ModelmarkError, match="the upstream does not answer: ConnectionRefusedError") as caught:
        taken(tmp_path, "protocol: v2\nurl: http://127.0.0.1:1\nmodel: churn\n")
    assert caught.value.code == "UPSTREAM_DOWN"
