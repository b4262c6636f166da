"""A real, small serving path for tests of gates: ONNX Runtime behind the contract's rules, in process."""

from __future__ import annotations

import json
import math
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd

from modelmark.domain.classes import class_text
from modelmark.domain.contract import DataType, Policy
from modelmark.domain.errors import Rejected
from modelmark.domain.ports import Staged
from modelmark.registry import tensors
from modelmark.seal.digests import plain


class Endpoint:
    """A Predictor over a graph's bytes."""

    def __init__(self, contract, model, signature):
        self.contract, self.signature = contract, plain(signature)
        self.session = tensors.session(model)

    def predict(self, rows):
        most = self.contract.serving.max_rows
        if not 0 < len(rows) <= most:
            raise Rejected(f"{len(rows)} rows", code="BATCH", limit=f"1 to {most}")
        clean = [self._row(row, place) for place, row in enumerate(rows)]
        return tensors.run(self.session, pd.DataFrame(clean), self.signature).tolist()

    def _row(self, row, place):
        names = [item.name for item in self.contract.inputs]
        odd = set(row) ^ set(names)
        if odd:
            raise Rejected("missing or extra columns", field=sorted(odd)[0], row=place)
        return {item.name: self._value(item, row[item.name], place) for item in self.contract.inputs}

    def _value(self, item, value, place):
        def refuse(why):
            raise Rejected(why, code="BAD_VALUE", field=item.name, row=place)

        if value is None:
            return None if item.nullable else refuse("null")
        if item.type in (DataType.CATEGORY, DataType.STRING):
            if not isinstance(value, str):
                refuse("not text")
            unseen = item.categories is not None and value not in item.categories
            return self._policy(item, item.on_unseen, value, refuse) if unseen else value
        if item.type is DataType.BOOLEAN:
            return value if isinstance(value, bool) else refuse("not a boolean")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            refuse("not a finite number")
        if item.type is DataType.INTEGER and int(value) != value:
            refuse("not an integer")
        low = -1e30 if item.minimum is None else item.minimum
        high = 1e30 if item.maximum is None else item.maximum
        return value if low <= value <= high else self._policy(item, item.on_out_of_range, value, refuse)

    def _policy(self, item, policy, value, refuse):
        if policy is Policy.REJECT or (isinstance(value, float) and abs(value) > 1e30):
            return refuse("outside the contract")
        return item.impute if policy is Policy.IMPUTE else value


class Broken:
    """Changes a sound endpoint's answers or refusals."""

    def __init__(self, sound, change):
        self.sound, self.change = sound, change

    def predict(self, rows):
        return self.change(self.sound, rows)


@contextmanager
def http(answer):
    """A server on loopback whose POSTs get `answer(body) -> (status, object)`; yields its base address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            try:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            except ValueError:
                status, value = 400, {"error": "not JSON", "code": "MALFORMED"}
            else:
                status, value = answer(self.path, body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Stage:
    """A Staging that serves an Endpoint over a tiny HTTP server, `slow` seconds late.

    replaced: which rows the declared fallback answers instead of the model.
    """

    def __init__(self, endpoint, slow=0.0, status=200, replaced=lambda rows: False):
        self.endpoint, self.slow, self.status, self.replaced = endpoint, slow, status, replaced

    @contextmanager
    def open(self, version, folder):
        contract = getattr(self.endpoint, "sound", self.endpoint).contract

        def answer(path, body):
            time.sleep(self.slow)
            assert path == f"/models/{version.model}/predict"
            if self.status != 200:
                return self.status, {"error": "planted", "code": "PLANTED"}
            try:
                scores = self.endpoint.predict(body["rows"])
            except Rejected as refusal:
                return 422, {"error": refusal.message, "code": refusal.code}
            classes = [class_text(name) for name in contract.outputs.classes]
            named = [
                {"probabilities": dict(zip(classes, s, strict=True))} if classes else {"value": s[0]} for s in scores
            ]
            return 200, {"served_by": "fallback" if self.replaced(body["rows"]) else "model", "predictions": named}

        with http(answer) as address:
            yield Staged(address=address, processes=tuple)


def onnx_of(model, contract, holdout):
    """(graph, signature) of a fitted model, converted in this process: fast, for models that tests made themselves."""
    from modelmark.domain.version import Signature
    from modelmark.registry import estimators
    from modelmark.registry.convert import request_of
    from modelmark.seal.values import restore

    request = request_of(contract)
    original = estimators.original_scores(model, holdout, request)
    made = estimators.convert(model, holdout, np.asarray(original), request)
    return made.model, restore(Signature, made.signature)
