"""Workers share answers through a real Redis; where it is gone, slow or holds nonsense, predictions go on."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest

from batcher import Fake, loader, runner
from modelmark.domain.errors import Rejected
from modelmark.serving.caching import shared_cache
from modelmark.serving.caching.shared_cache import SharedCache, _command
from modelmark.serving.flavours import Runs
from redis_server import PASSWORD, needs_redis, redis

BYTES = 1 << 20
VALUES = (0.5, 0.25, 0.5)


@pytest.fixture
def server(tmp_path: Path):
    with redis(tmp_path) as found:
        yield found


@pytest.fixture
def ask(tmp_path: Path):
    """Asks one worker's batcher, of a folder of its own: (rows that its model was run on, whether each answer was cached)."""
    load, count = loader(tmp_path / "versions"), iter(range(100))
    fake = Fake(Runs.THREAD)
    version = load(fake)

    def go(shared: SharedCache | None, *values: float) -> tuple[list[int], list[bool]]:
        fake.sizes.clear()
        heard: list[bool] = []

        async def work(bench):
            for value in values:
                caller = bench.ask(version, value)
                await caller.done.wait()
                assert caller.outcome == "model"
                heard.append(caller.heard[0].cached)

        records = runner(tmp_path / str(next(count)))(work, cache_bytes=BYTES, shared=shared)
        assert [bool(record.flags) for record in records] == heard
        return list(fake.sizes), heard

    return go


@needs_redis
def test_what_one_worker_computed_another_gives_again(server, ask):
    assert ask(SharedCache(server.address), *VALUES) == ([1, 1], [False, False, True])
    assert ask(SharedCache(server.address), *VALUES, 0.1) == ([1], [True, True, True, False])


@needs_redis
def test_while_redis_is_gone_predictions_go_on_and_the_log_tells_of_it_once(server, ask, monkeypatch, capfd):
    shared = SharedCache(server.address)
    ask(shared, 0.5)
    server.stop()
    assert ask(shared, 0.5, 0.25) == ([1, 1], [False, False])
    assert ask(shared, 0.5) == ([1], [False])
    assert capfd.readouterr().err.count("Redis does not answer") == 1
    server.start()
    monkeypatch.setattr(shared, "_alone_until", 0.0)
    assert ask(shared, 0.5) == ([1], [False])
    assert ask(shared, 0.5) == ([], [True])
    assert "Redis answers again" in capfd.readouterr().err


@needs_redis
def test_one_that_hangs_is_waited_for_a_moment_and_then_left_alone(server, ask, monkeypatch):
    shared = SharedCache(server.address)
    ask(shared, 0.5)
    server.stop(signal.SIGSTOP)
    asked: list[float] = []
    monkeypatch.setattr(
        socket.socket, "sendall", lambda self, data, send=socket.socket.sendall: (asked.append(1), send(self, data))
    )
    assert ask(shared, 0.1, 0.2, 0.3) == ([1, 1, 1], [False, False, False])
    assert len(asked) == 1


@needs_redis
def test_a_wrong_password_is_as_if_there_were_none(server, ask):
    wrong = SharedCache(server.address.replace("a%2Fsecret", "another"))
    assert ask(wrong, 0.5, 0.5) == ([1], [False, True])


@needs_redis
def test_what_has_not_an_answer_s_form_is_none(server, ask):
    ask(SharedCache(server.address), 0.5)
    with socket.create_connection(("127.0.0.1", server.port)) as direct:
        for command in (_command(b"AUTH", PASSWORD.encode()), _command(b"SELECT", b"3"), _command(b"KEYS", b"*")):
            direct.sendall(command)
            said = direct.recv(1000)
        key = said.split(b"\r\n")[2]
        direct.sendall(_command(b"SET", key, b"seven.."))
        assert direct.recv(100) == b"+OK\r\n"
    assert ask(SharedCache(server.address), 0.5) == ([1], [False])


@pytest.mark.parametrize("said", [b"*1\r\n$99999999\r\n", b"*x\r\n", b"-ERR no\r\n", b"", b"*2\r\n$-1\r\n$-1\r\n"])
def test_whatever_stands_there_instead_costs_nobody_an_answer(ask, said: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        shared = SharedCache(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        assert ask(shared, 0.5) == ([1], [False])


@pytest.mark.parametrize("address", ["http://h", "redis://", "redis://h:x", "redis://h/db", "h:6379", "redis://[::1"])
def test_what_is_no_address_is_refused_and_not_repeated(address: str):
    with pytest.raises(Rejected) as caught:
        SharedCache(address)
    assert (caught.value.code, caught.value.field) == ("BAD_SETTING", "MODELMARK_CACHE_REDIS")
    assert address not in str(caught.value)
    assert shared_cache.PATIENCE <= 0.05
