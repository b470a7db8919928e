"""A line between till and server that refuses one batch and loses the answer to another."""

import http.server
import threading

from tests.iowa.till import forward


class UnreliableLine(http.server.ThreadingHTTPServer):
    """Passes everything on, but refuses one batch and loses the answer to another."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), UnreliableHandler)
        self.target, self.troubles = url, ["lose the answer", "refuse"]
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def next_trouble(self, method: str) -> str:
        with self.lock:
            return self.troubles.pop() if method == "POST" and self.troubles else ""


class UnreliableHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sales = self.path.startswith("/api/orders/sales/")
        trouble = self.server.next_trouble(self.command) if sales else ""
        if trouble == "refuse":
            return self.answer(503, b"{}", {"Retry-After": "0"})
        headers = {n: self.headers[n] for n in ("Authorization", "Content-Type") if self.headers[n]}
        status, content = forward(self.server.target, self.command, self.path, headers, body)
        if trouble == "lose the answer":
            self.close_connection = True
            return None
        return self.answer(status, content, {})

    do_POST = do_GET

    def answer(self, status: int, content: bytes, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class unreliable_line_to:
    def __init__(self, url: str) -> None:
        self.line = UnreliableLine(url)

    def __enter__(self) -> UnreliableLine:
        threading.Thread(target=self.line.serve_forever).start()
        return self.line

    def __exit__(self, *_: object) -> None:
        self.line.shutdown()
        self.line.server_close()
