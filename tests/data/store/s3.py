"""A real S3 server (moto's) and, before it, a proxy that is slow, cuts off, or is gone."""

import http.client
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Proxy(ThreadingHTTPServer):
    """Forwards to a server. delay: seconds before each answer. cut: how many of the next answers
    with samples end in the middle. down: connections are closed unanswered. gets: paths read."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.delay, self.cut, self.down = 0.0, 0, False
        self.gets: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Clients go away in these tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def forward(self) -> None:
        server = self.server
        self.close_connection = True
        if server.down:
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        time.sleep(server.delay)
        if self.command == "GET":
            server.gets.append(self.path)
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "connection", "server", "date"):
                self.send_header(key, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET" and "/shards/" in self.path and server.cut > 0:
            server.cut -= 1
            content = content[: len(content) // 2]
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward


@contextmanager
def serving() -> Iterator[Proxy]:
    """The two of them, until the end of the `with`."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("POST", "/moto-api/reset")  # its buckets live as long as the process
    assert client.getresponse().status == 200
    proxy = Proxy(port)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()


def environment(proxy: Proxy) -> dict[str, str]:
    """What a client needs to know of the server."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url,
    }


@contextmanager
def corpora() -> Iterator[Proxy]:
    """A server with an empty bucket of that name, which this process' environment names.

    The test is skipped where what it needs isn't installed.
    """
    for needed in ("moto", "s3fs", "flask_cors"):
        pytest.importorskip(needed, reason=f"{needed} isn't installed: no S3 server here")
    with serving() as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(proxy).items():
            patch.setenv(name, value)
        make_bucket("corpora")
        yield proxy


def forget_clients() -> None:
    """Those with an earlier address and other credentials."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def make_bucket(name: str) -> None:
    """A new one."""
    import s3fs

    forget_clients()
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
