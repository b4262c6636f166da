"""A webhook's other end on loopback: keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """status: what it answers; location: where a redirect points; drip: seconds between two bytes of its head."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.location, self.drip = 204, "", 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                if receiver.drip:
                    self._drip()
                    return
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def _drip(self) -> None:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000:
                        self.wfile.write(bytes([byte]))
                        time.sleep(receiver.drip)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, secret: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook?room=7#{secret}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
