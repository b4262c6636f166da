"""Where messages arrive in tests: a web hook of our own."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Inbox:
    """A web hook on loopback that keeps what it is sent, or refuses it."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.up = True
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if inbox.up:
                    inbox.got.append(json.loads(body))
                self.send_response(200 if inbox.up else 500)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"json://user:s3cret@127.0.0.1:{self.server.server_port}/hook"
