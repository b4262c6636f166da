"""What HTTP itself must not be: two lengths, bare line ends, endless headers. Source: RFC 9110, RFC 9112 and what proxies and
servers have disagreed on (request smuggling)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from modelmark.attack.case import READ, REFUSED, Case, Target, request

_OR_CLOSED: Final = REFUSED | {0}  # 0: closed without a word


def framing(target: Target) -> Iterator[Case]:
    told = _Told(target)
    for why, sent in {**told.lengths(), **told.heads(), **told.chunks()}.items():
        yield Case("framing", sent, _OR_CLOSED, alone=True, why=why)
    path, body = told.path, told.body
    over = b'{"rows":[' + b" " * target.max_body + b"]}"
    yield Case("size", request(path, over), frozenset({413, 429}), alone=True, why="more than its limit")
    yield Case("size", request(path, body + b" " * (target.max_body - len(body))), READ, why="as much as its limit")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        yield Case("methods", request(path, b"", method=method), REFUSED, why=method)
    for other in (
        "/", "/models/", "/models/nobody/predict", f"/models/{target.model}/predict/", "/models/../keys", "/%00",
        "/models/%2e%2e", "//", "/v2/models/x/infer",
        f"/models/{target.model}%00/predict", "/v1/models/%0a:predict", "/metrics/../state.db", "/invocations/x",
        f"/v2/models/{target.model}/versions/999/infer",
    ):  # fmt: skip
        yield Case("addresses", request(other, body), REFUSED, why=other)


class _Told:
    """Requests that would be good ones, and each is not."""

    def __init__(self, target: Target) -> None:
        self.path = f"/models/{target.model}/predict"
        self.body = json.dumps({"rows": [dict(target.row)]}).encode()
        self.line, self.host = f"POST {self.path} HTTP/1.1\r\n".encode(), b"Host: 127.0.0.1\r\n"
        self.kind, self.chunked = b"Content-Type: application/json\r\n", b"Transfer-Encoding: chunked\r\n"
        self.size = b"Content-Length: %d\r\n" % len(self.body)
        self.chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body)

    def lengths(self) -> dict[str, bytes]:
        line, host, kind, size, body, chunked, chunk = (
            self.line, self.host, self.kind, self.size, self.body, self.chunked, self.chunk,
        )  # fmt: skip
        return {
            "length and chunks": line + host + kind + size + chunked + b"\r\n" + chunk,
            "chunks and length": line + host + kind + chunked + size + b"\r\n" + chunk,
            "two lengths": line + host + kind + size + b"Content-Length: 3\r\n\r\n" + body,
            "a list of lengths": line + host + kind + b"Content-Length: 3, 3\r\n\r\nabc",
            "a length with a sign": line + host + kind + b"Content-Length: +3\r\n\r\nabc",
            "a negative length": line + host + kind + b"Content-Length: -1\r\n\r\n",
            "a length in words": line + host + kind + b"Content-Length: three\r\n\r\nabc",
            "a length in hexadecimal": line + host + kind + b"Content-Length: 0x3\r\n\r\nabc",
            "an endless length": line + host + kind + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
            "a gigabyte declared": line + host + kind + b"Content-Length: 1073741824\r\n\r\n",
            "chunks twice": line + host + kind + chunked + chunked + b"\r\n" + chunk,
            "chunked, identity": line + host + kind + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunk,
            "an unknown coding": line + host + kind + b"Transfer-Encoding: xchunked\r\n\r\n" + chunk,
            "a coding behind a tab": line + host + kind + b"Transfer-Encoding:\tchunked\r\n" + size + b"\r\n" + body,
        }  # fmt: skip

    def heads(self) -> dict[str, bytes]:
        path, line, host, kind, size, body = self.path, self.line, self.host, self.kind, self.size, self.body
        return {
            "a space before the colon": line + host + kind + b"Content-Length : %d\r\n\r\n" % len(body) + body,
            "a folded header": line + host + kind + b"X-A: b\r\n c\r\n" + size + b"\r\n" + body,
            "a bare line feed": line + host + b"X-A: b\n" + kind + size + b"\r\n" + body,
            "a bare carriage return": line + host + b"X-A: b\rX-C: d\r\n" + kind + size + b"\r\n" + body,
            "a NUL in a header": line + host + b"X-A: b\x00c\r\n" + kind + size + b"\r\n" + body,
            "a header without a name": line + host + b": b\r\n" + kind + size + b"\r\n" + body,
            "a header without a colon": line + host + b"nonsense\r\n" + kind + size + b"\r\n" + body,
            "no host": line + kind + size + b"\r\n" + body,
            "two hosts": line + host + host + kind + size + b"\r\n" + body,
            "a foreign host": line + b"Host: evil.example\r\n" + kind + size + b"\r\n" + body,
            "a host with a path": line + b"Host: 127.0.0.1/x\r\n" + kind + size + b"\r\n" + body,
            "70 KB in a header": line + host + b"X-A: " + b"b" * 70_000 + b"\r\n" + kind + size + b"\r\n" + body,
            "ten thousand headers": line + host + b"".join(b"X-%d: b\r\n" % i for i in range(10_000)) + size + b"\r\n" + body,
            "a megabyte of address": b"POST /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + host + size + b"\r\n" + body,
            "an address with a space": f"POST {path} x HTTP/1.1\r\n".encode() + host + kind + size + b"\r\n" + body,
            "an address of bytes": b"POST /\xff\xfe HTTP/1.1\r\n" + host + kind + size + b"\r\n" + body,
            "another HTTP": line.replace(b"1.1", b"3.7") + host + kind + size + b"\r\n" + body,
            "no HTTP": b"hello\r\n\r\n",
            "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
            "HTTP/2's opening": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "an odd method": line.replace(b"POST", b"P@ST") + host + kind + size + b"\r\n" + body,
            "CONNECT": b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n" + host + b"\r\n",
        }  # fmt: skip

    def chunks(self) -> dict[str, bytes]:
        opened = self.line + self.host + self.kind + self.chunked + b"\r\n"
        return {
            "a chunk with a wrong end": opened + b"3\r\nabcX\r\n0\r\n\r\n",
            "a chunk of no number": opened + b"zz\r\nabc\r\n0\r\n\r\n",
            "a chunk that overflows": opened + b"ffffffffffffffffff\r\nabc\r\n",
            "a megabyte of chunk extension": opened + b"3;" + b"x" * 1_000_000 + b"\r\nabc\r\n0\r\n\r\n",
            "endless trailers": opened + b"0\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n",
            "a hundred thousand chunks of one byte": opened + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n",
        }  # fmt: skip
