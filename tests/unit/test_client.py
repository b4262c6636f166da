"""What a notebook holds is what the client sends: NumPy's and pandas' values, and never a number that is none."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmark.client import Client
from modelmark.domain.errors import Rejected

ANSWER = {
    "id": "p1", "model": "m", "version": "v1", "arm": "champion", "served_by": "model", "predictions": [], "flags": [],
    "accepted": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[Client, list[Any]]]:
    """A client, and the bodies that its server has received."""
    bodies: list[Any] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        yield client, bodies
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.int64(7), 7),
        (np.uint8(255), 255),
        (np.float32(0.5), 0.5),
        (np.float64(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(3), 3),
        (pd.NA, None),
        (pd.NaT, None),
        (None, None),
        (decimal.Decimal("1.25"), 1.25),
        (pd.Timestamp("2024-02-10"), "2024-02-10 00:00:00"),
        (np.datetime64("2024-02-10"), "2024-02-10 00:00:00"),
        (np.datetime64("2024-02-10T01:02:03", "ns"), "2024-02-10 01:02:03"),
        (np.datetime64("NaT"), None),
        (dt.date(2024, 2, 10), "2024-02-10"),
        (2**70, 2**70),
        ("NaN", "NaN"),
    ],
)
def test_a_scalar_is_sent_as_its_value(heard, value, sent):
    client, bodies = heard
    client.predict("m", [{"a": 1, "b": value}])
    assert bodies[-1] == {"rows": [{"a": 1, "b": sent}]}
    assert type(bodies[-1]["rows"][0]["b"]) is type(sent)


def test_rows_of_a_frame_are_rows(heard):
    client, bodies = heard
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "t": ["a", "b"], "k": pd.array([1, None], "Int64")})
    client.predict("m", [row for _, row in frame.iterrows()])
    client.predict("m", frame.to_dict("records"))
    assert bodies[-1] == bodies[-2]
    assert bodies[-1]["rows"] == [{"n": 1, "x": 0.5, "t": "a", "k": 1}, {"n": 2, "x": 1.5, "t": "b", "k": None}]


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), np.float64("inf"), -np.inf, decimal.Decimal("NaN")])
def test_what_is_no_number_is_refused_by_column_and_row_and_not_sent(heard, value):
    client, bodies = heard
    before = len(bodies)
    with pytest.raises(Rejected) as caught:
        client.predict("m", [{"a": 1.0, "b": 2}, {"a": value, "b": 2}])
    assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", "a", 1)
    assert "None" in str(caught.value.hint)
    assert len(bodies) == before


@pytest.mark.parametrize("value", [[1], {"x": 1}, np.array([1, 2]), object(), 1j, b"x", np.timedelta64(5, "s")])
def test_what_is_no_value_is_refused_by_column_and_row(heard, value):
    with pytest.raises(Rejected) as caught:
        heard[0].predict("m", [{"a": value}])
    assert (caught.value.code, caught.value.field, caught.value.row) == ("WRONG_TYPE", "a", 0)


def test_labels_are_taken_as_they_come_too(heard):
    client, bodies = heard
    client.label("m", [("p1", np.int64(1), np.bool_(False)), ("p2", 0, np.float32(0.5))])
    assert [(item["row"], item["label"]) for item in bodies[-1]["labels"]] == [(1, False), (0, 0.5)]
    with pytest.raises(Rejected) as caught:
        client.label("m", [("p1", 0, 1.0), ("p1", 1, float("nan"))])
    assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", "label", 1)
