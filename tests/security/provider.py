"""A provider of single sign-on on this machine: everybody who comes is whoever it was told."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

CLIENT, SECRET, CODE, TOKEN = "kiryana", "a-secret-of-the-client-that-is-long", "c0de", "t0ken"


class Provider(BaseHTTPRequestHandler):
    claims = {"sub": "77", "email": "sana@example.org", "email_verified": True}

    def do_GET(self):
        address = urlsplit(self.path)
        if address.path == "/.well-known/openid-configuration":
            return self.answer(self.describe())
        if address.path == "/authorize":
            return self.send_back(parse_qs(address.query))
        if address.path == "/userinfo" and self.headers["Authorization"] == f"Bearer {TOKEN}":
            return self.answer(self.claims)
        return self.send_error(404)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        known = form.get("code") == [CODE] and form.get("code_verifier")
        if not known:
            return self.send_error(400)
        now = int(time.time())
        told = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60, **self.claims}
        id_token = jwt.encode(told, SECRET, algorithm="HS256")
        return self.answer({"access_token": TOKEN, "token_type": "Bearer", "id_token": id_token})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def describe(self):
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def send_back(self, query):
        assert query["client_id"] == [CLIENT] and query["code_challenge_method"] == ["S256"]
        back = urlencode({"code": CODE, "state": query["state"][0]})
        self.send_response(302)
        self.send_header("Location", f"{query['redirect_uri'][0]}?{back}")
        self.end_headers()

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Quiet."""


@contextmanager
def running_provider():
    """Yield the provider's class, whose `claims` a test changes, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Provider, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
