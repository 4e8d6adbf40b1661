"""Small web sites, and a relay that gives them names below .test."""

import http.server
import socket
import subprocess
import threading
import time

from cli.sockets import dial, free_tcp_port, receive_to_end
from cli.stage import Stage, first_line
from harness.process import Process
from harness.suite import require
from harness.workspace import free_port


class Relay:
    """A running `qtun relay` that gives out names below .test."""

    def __init__(self, stage: Stage, *options: object, has_udp: bool = True) -> None:
        self.http, self.tls = free_tcp_port(), free_port()
        if not has_udp:
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            other.bind(("127.0.0.1", self.tls))
            stage.at_end(other.close)
        self.process = stage.start(
            "relay", "--listen", "127.0.0.1:0", "--open", "--names", "*.test", "--state",
            stage.workspace.path / "state", "--http", f"127.0.0.1:{self.http}", "--tls",
            f"127.0.0.1:{self.tls}", *options)
        self.name = first_line(self.process)


class Site(http.server.BaseHTTPRequestHandler):
    """A small web server that knows its name, streams, and switches protocols."""

    protocol_version = "HTTP/1.1"
    name = ""
    seen: list[str]
    go_on: threading.Event

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers['Host']}")
        if self.path == "/stream":
            self._stream()
        elif self.headers["Upgrade"]:
            self._switch()
        elif self.path in ["/reset", "/half"]:
            if self.path == "/half":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                time.sleep(0.3)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
        else:
            self._answer(404 if self.path.startswith("/missing") else 200, self.name.encode())

    def do_POST(self) -> None:
        self.seen.append(f"{self.path} {self.headers['Host']}")
        body = b""
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, str(len(body)).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.go_on.wait(20)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def _switch(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while piece := self.connection.recv(65536):
            self.connection.sendall(piece)
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    """Says nothing about visitors who leave."""

    def handle_error(self, request, client_address) -> None:
        pass


def open_site(stage: Stage, name: str):
    """A web server of that name, and what it was asked."""
    kind = type("Site", (Site,), {"name": name, "seen": [], "go_on": threading.Event()})
    server = Server(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage.at_end(server.shutdown)
    return server.server_port, kind


def share_site(stage: Stage, relay: Relay, target: object, *options: object, key: str = "") -> Process:
    """A share that has got its public addresses, with a key of its own or that file's."""
    words = ["--identity", stage.workspace.path / key] if key else []
    share = stage.start(
        "share", target, "--listen", "127.0.0.1:0", "--rendezvous", relay.name, *words, *options)
    found = share.wait_for(lambda: share.output().count("\n") > 1, seconds=20)
    require(bool(found), f"no public address: {share.errors()}")
    return share


def curl(port: int, url: str, *options: str, status: int = 0) -> str:
    """What curl prints for a URL whose hosts are all on this port of loopback."""
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--connect-to", f"::127.0.0.1:{port}", *options, url],
        capture_output=True, text=True)
    require(run.returncode == status, f"curl ended with {run.returncode}: {run.stderr}")
    return run.stdout


def ask_raw(port: int, request: bytes) -> bytes:
    """The whole answer to raw bytes, up to the end of the connection."""
    with dial(port) as visitor:
        visitor.sendall(request)
        return receive_to_end(visitor)


def get_request(path: str, host: str, *fields: str) -> bytes:
    """A GET of HTTP/1.1 with these lines behind Host."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
