"""Send all of it, look at each outcome, and ask now and then whether the endpoint still answers as it did."""

from __future__ import annotations

import base64
import json
import random
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from modelmark.attack.bodies import bodies
from modelmark.attack.case import Case, Target, request, row_for
from modelmark.attack.framing import framing
from modelmark.attack.protocols import protocols
from modelmark.domain.errors import Missing, NotYet, Rejected
from modelmark.domain.progress import Progress

#: Seconds that an answer may take before it counts as none.
PATIENCE: Final = 15.0
#: After so many cases the endpoint is asked whether it lives and answers as it did.
EVERY: Final = 100
#: Of the changed bodies a third goes to the native address.
_NATIVE: Final = 1 / 3
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An outcome that is not right. sent: the bytes, in base64, to be sent again."""

    family: str
    why: str
    outcome: str
    allowed: str
    sent: str


@dataclass(slots=True, kw_only=True)
class Attacked:
    """outcomes: how many of each status, by family; 0: closed without an answer."""

    model: str
    outcomes: dict[str, Counter[int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(counter.total() for counter in self.outcomes.values())


class Connection:
    """Kept as long as the endpoint keeps it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, sent: bytes) -> tuple[int, bytes, bytes]:
        """(status, body, what came after it). Status 0: it was closed without a whole answer. Raises TimeoutError."""
        for fresh in (self._socket is None, True):
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=PATIENCE)
            try:
                self._send(sent)
                return self._answer()
            except (ConnectionError, BrokenPipeError):
                self.close()
                if fresh:
                    return 0, b"", b""
        raise AssertionError("unreachable")

    def _send(self, sent: bytes) -> None:
        """A server that refuses may close before it has read all."""
        assert self._socket is not None
        try:
            self._socket.sendall(sent)
        except (ConnectionError, BrokenPipeError):
            return

    def _answer(self) -> tuple[int, bytes, bytes]:
        assert self._socket is not None
        found = b""
        while True:
            head, whole, rest = found.partition(b"\r\n\r\n")
            if whole and len(rest) >= (size := _length(head)):
                status = int(head.split(b" ", 2)[1])
                if b"connection: close" in head.lower():
                    rest += self._rest()
                return status, rest[:size], rest[size:]
            piece = self._socket.recv(1 << 16)
            if not piece:
                self.close()
                return 0, b"", b""
            found += piece

    def _rest(self) -> bytes:
        """What still comes until it is closed."""
        assert self._socket is not None
        found = b""
        try:
            while piece := self._socket.recv(1 << 16):
                found += piece
        except ConnectionError:
            pass
        self.close()
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def target_of(address: tuple[str, int], model: str | None) -> Target:
    """The model as its endpoint describes it. Raises NotYet where nobody answers, Missing and Rejected as to which model."""
    connection = Connection(address)
    try:
        models = _described(connection, "/models")
        names = [str(one["name"]) for one in models["models"]] if isinstance(models, dict) else []
        if model is None and len(names) != 1:
            raise Rejected(
                "several models could be meant" if names else "no model is served there", code="WHICH_MODEL",
                field="--model", limit=", ".join(names) or "none",
            )  # fmt: skip
        chosen = model or names[0]
        if chosen not in names:
            raise Missing(f"no model {chosen!r} is served there", code="NO_MODEL", limit="known: " + ", ".join(names))
        about = _described(connection, f"/models/{chosen}")
    except OSError as error:
        raise NotYet(f"nobody answers at {address[0]}:{address[1]}: {error}", code="NO_ENDPOINT", field="URL") from None
    finally:
        connection.close()
    limits = about["limits"]
    inputs = about["inputs"]
    return Target(chosen, inputs, row_for(inputs), int(limits["max_rows"]), int(limits["max_body_bytes"]))


def _described(connection: Connection, path: str) -> Any:
    status, body, _ = connection.ask(request(path, b"", method="GET"))
    if status != 200:
        raise NotYet(f"GET {path} answers {status}", code="NO_ENDPOINT", field="URL")
    return json.loads(body)


def cases(target: Target, seed: int, changed: int) -> Iterator[Case]:
    """The same for the same seed."""
    rng, native = random.Random(seed), int(changed * _NATIVE)
    return chain(bodies(target, rng, native), protocols(target, rng, changed - native), framing(target))


def attack(
    address: tuple[str, int], target: Target, sent: Iterable[Case], *, expected: int, progress: Progress
) -> Attacked:
    """expected: how many there are, for the progress. Raises NotYet where the model's own good row is not answered."""
    connection, found = Connection(address), Attacked(model=target.model)
    good = request(f"/models/{target.model}/predict", json.dumps({"rows": [dict(target.row)]}).encode())
    before = _predicted(connection, good)
    if before is None:
        raise NotYet(
            f"{target.model} does not answer a row in the middle of its contract", code="NO_ENDPOINT", field="URL"
        )
    for number, case in enumerate(sent, 1):
        if case.alone:
            connection.close()
        _judge(found, case, *_asked(connection, case))
        if case.alone:
            connection.close()
        if number % EVERY == 0:
            progress("attack", min(number, expected - 1), expected)
            _still_well(found, connection, case, good, before)
    _still_well(found, connection, case, good, before)
    progress("attack", expected, expected)
    connection.close()
    return found


def _asked(connection: Connection, case: Case) -> tuple[int, bytes, bytes]:
    try:
        return connection.ask(case.sent)
    except TimeoutError:
        connection.close()
        return -1, b"", b""


def _judge(found: Attacked, case: Case, status: int, body: bytes, after: bytes) -> None:
    found.outcomes.setdefault(case.family, Counter())[status] += 1
    if status == -1:
        _fault(found, case, f"no answer in {PATIENCE:g} s")
    elif status not in case.allowed:
        _fault(found, case, f"{status}: {body[:_SHOWN].decode('utf-8', 'backslashreplace')}")
    elif status >= 400 and not _says_why(body):
        _fault(found, case, f"{status} without a reason: {body[:_SHOWN]!r}")
    elif after.startswith(b"HTTP/"):
        _fault(found, case, f"{status}, and a second answer to the same bytes")


def _says_why(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and bool(told.get("error") or told.get("error_code"))


def _still_well(found: Attacked, connection: Connection, case: Case, good: bytes, before: Any) -> None:
    try:
        now = _predicted(connection, good)
    except OSError:
        now = None
    if now != before:
        _fault(found, case, f"afterwards a good row is answered {now!r}, and was answered {before!r}"[:300])


def _predicted(connection: Connection, good: bytes) -> Any:
    status, body, _ = connection.ask(good)
    return json.loads(body)["predictions"] if status == 200 else None


def _fault(found: Attacked, case: Case, outcome: str) -> None:
    allowed = ", ".join("closed" if s == 0 else str(s) for s in sorted(case.allowed))
    sent = base64.b64encode(case.sent[:100_000]).decode()
    found.faults.append(Fault(family=case.family, why=case.why, outcome=outcome, allowed=allowed, sent=sent))
