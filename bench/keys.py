"""What a key costs on the way of a prediction, beside the same way without one, in the same run: nanoseconds of one thread.

Rounds take turns, so that a busy machine slows both alike; the middle of all rounds counts. Prints one line of text, or JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time_ns

from modelmark.domain.endpoint.keys import EndpointKey, Scope
from modelmark.seal.endpoint_secrets import digest_secret
from modelmark.serving.entry.access import Access, Need

AIM_NS = 1000
_ROUNDS = 31
_KEYS = 100


def _key(number: int, rate: float | None) -> EndpointKey:
    now = datetime.now(UTC)
    return EndpointKey(
        id=f"k{number}", name=f"k{number}", digest=digest_secret(f"mmk_{number}".encode()), scopes=(Scope.PREDICT,),
        issued_at=now, expires_at=now + timedelta(days=1), issued_by="bench", model="churn", rate=rate,
    )  # fmt: skip


def _nothing(*_: object) -> None:
    return None


def _spent(act: Callable[..., object], headers: dict[bytes, bytes], times: int) -> float:
    """Nanoseconds of one call."""
    begun = thread_time_ns()
    for _ in range(times):
        act((headers.get(b"authorization"), headers.get(b"x-api-key")), Need.PREDICT, "churn")
    return (thread_time_ns() - begun) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20_000, help="calls a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rate in (("a key", None), ("a key with a rate", 1e9)):
            access = Access(Path(folder), required=True)
            access.follow(tuple(_key(number, rate) for number in range(_KEYS)))
            headers = {b"host": b"localhost", b"authorization": b"Bearer mmk_7"}
            with_key, without = [], []
            for _ in range(_ROUNDS):
                without.append(_spent(_nothing, headers, options.times))
                with_key.append(_spent(access.admit, headers, options.times))
            found[name] = statistics.median(with_key) - statistics.median(without)
    if options.json:
        print(json.dumps({"ns": found, "aim_ns": AIM_NS, "keys": _KEYS}))
    else:
        said = ", ".join(f"{name} costs {ns:.0f} ns a request" for name, ns in found.items())
        print(f"{said}; the aim is {AIM_NS} ns")


if __name__ == "__main__":
    main()
