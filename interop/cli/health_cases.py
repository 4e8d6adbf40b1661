"""Groups of shares that check what they share: `--health`."""

import re
import socket
import time
import urllib.request

from cli.group import Group
from cli.public_cases import Relay, address_of, start_share
from cli.sockets import dial, free_tcp_port, receive_to_end
from cli.stage import Stage, require_line, require_text
from harness.suite import require

GROUP = Group("health")


@GROUP.case("public-health")
def _health(stage: Stage) -> None:
    """A member whose target fails its check gets no visitors; with none left, web visitors hear 503."""
    http = free_tcp_port()
    relay = Relay(stage, "--open", "--http", f"127.0.0.1:{http}", "--names", "*.test", "--admin", "0")
    require_line(relay.process, "/metrics")
    admin = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", relay.process.errors())
    states = {"one": 200, "two": 200}
    shares = []
    for name in states:
        service = stage.service(_site(name, states))
        shares.append(
            start_share(
                stage, relay, service.port, "--public", "a.test", "--group",
                stage.workspace.path / "group", "--health",
                "http:/health,interval=200ms,fall=2,rise=2", key=name))
        address_of(shares[-1])

    def served() -> set[str]:
        return {_page(http) for _ in range(6)}

    def becomes(expected: set[str]) -> None:
        deadline = time.monotonic() + 5
        while (found := served()) != expected:
            require(time.monotonic() < deadline, f"served by {found} instead of {expected}")

    becomes({"one", "two"})
    states["one"] = 500
    becomes({"two"})
    require_line(shares[0], "fails its health check .*status 500")
    require_line(relay.process, "fails its health check .*1 of 2 nodes")
    require_text(stage.run("status").output(), "health  down", "health  up")
    metrics = urllib.request.urlopen(f"http://{admin.group(1)}/metrics", timeout=5).read().decode()
    require_text(metrics, "\nqtun_listeners_down 1\n")
    states["two"] = 404
    becomes({"503 fails its health check"})
    states.update(one=204, two=200)
    becomes({"one", "two"})


def _site(name: str, states: dict[str, int]):
    """A web site whose health is what `states` says."""

    def serve(connection: socket.socket) -> int:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            if not piece:
                return 0
            head += piece
        status = states[name] if b" /health " in head else 200
        body = name.encode() if status == 200 else b""
        connection.sendall(
            b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
            + body)
        return len(head)

    return serve


def _page(port: int) -> str:
    with dial(port) as visitor:
        visitor.settimeout(10)
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        answer = receive_to_end(visitor).decode()
    status, body = answer.split(" ", 2)[1], answer.split("\r\n\r\n", 1)[1].strip()
    known = "fails its health check"
    return f"{status} {known if known in body else body}" if status != "200" else body
