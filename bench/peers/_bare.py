"""The ceiling: an ASGI callable that decodes lists of values with msgspec, runs the session and encodes. No duty at all."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from _asked import ASKED, session

_textual = any(text for _, text in ASKED.columns)


class Body(msgspec.Struct):
    rows: list[list[float | str]] if _textual else list[list[float]]  # type: ignore[valid-type]


run = session().run
decode = msgspec.json.Decoder(Body).decode
encode = msgspec.json.encode


def tensors(rows: list[list[Any]]) -> dict[str, Any]:
    if len(ASKED.feeds) == 1:
        return {ASKED.feeds[0].name: np.array(rows, np.float32)}
    return {
        feed.name: np.array([row[feed.low : feed.high] for row in rows], object if feed.text else np.float32)
        for feed in ASKED.feeds
    }


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    scores = run([ASKED.output], tensors(decode(body).rows))[0]
    out = encode({"predictions": scores.tolist()})
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(out)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": out})
