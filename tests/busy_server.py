"""A small HTTP server in a process of its own, for tests of load: one request at a time, a bounded queue, planted faults.

python busy_server.py MODE SERVICE_MS; prints its port. MODE: good (refuses with 429), rude (500 and no JSON), leak.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE, SERVICE = sys.argv[1], float(sys.argv[2]) / 1000
work, waiting, kept = threading.Lock(), threading.Semaphore(8), []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body leave together, or the kernel waits for an acknowledgement between them

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if MODE == "leak":
            kept.append(b"x" * 20_000)
        if not waiting.acquire(blocking=False):
            if MODE == "rude":
                return self.answer(500, b"too busy")
            return self.answer(429, json.dumps({"error": "busy", "code": "OVERLOADED"}).encode(), "1")
        try:
            with work:
                time.sleep(SERVICE)
        finally:
            waiting.release()
        return self.answer(200, json.dumps({"served_by": "model", "predictions": []}).encode())

    def answer(self, status, data, retry_after=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        return


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 512
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
