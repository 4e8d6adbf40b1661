"""Each carrier by itself: how endings cross it, and how TCP gets through an HTTP proxy."""

import json
import pathlib
import socket
import time
from collections.abc import Callable

from cli.group import Group
from cli.sockets import (
    SECONDS_MAX, dial, echo, free_tcp_port, pattern, receive_exactly, receive_to_end, reset)
from cli.stage import Stage, end, require_line, require_text
from harness.proxy import Proxy
from harness.suite import Failure, require

GROUP = Group("carriers")
CARRIERS = ["udp", "tcp", "ws"]
# One round trip on loopback and what a busy machine adds to it; the best of some tries counts.
RESET_SECONDS_MAX = 0.05
TRIES = 5
PAYLOAD = 200_000


class Flow:
    """One flow: its two ends, of which each was seen to be open."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self.client = dial(port)
        self.service, _ = listener.accept()
        self.service.settimeout(SECONDS_MAX)

    def ends(self, side: str) -> tuple[socket.socket, socket.socket]:
        """The side that ends the flow, and the other one."""
        pair = (self.client, self.service)
        return pair if side == "client" else pair[::-1]

    def close(self) -> None:
        self.client.close()
        self.service.close()


def _declare_endings(carrier: str) -> None:
    @GROUP.case(f"endings-{carrier}", seconds=60)
    def _endings(stage: Stage) -> None:
        """FIN and RST, by either side, before and after data, arrive as what they are."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SECONDS_MAX)
            share = stage.share(listener.getsockname()[1])
            listener.accept()[0].close()  # the share finding out whether the service is there
            connect = stage.connect(share.ticket, "--carrier", carrier)
            require_line(connect.process, f'connected.*path="direct {carrier} ')
            for side in ["client", "service"]:
                for payload in [b"", pattern(30, PAYLOAD)]:
                    what = f"{side}, {len(payload)} bytes"
                    _require_finish(Flow(listener, connect.port), side, payload, what)
                    best = min(
                        _reset_seconds(Flow(listener, connect.port), side, payload, what)
                        for _ in range(TRIES))
                    require(best < RESET_SECONDS_MAX, f"RST by {what}: after {best * 1000:.0f} ms")
            require(end(connect.process, 15) == 0, "connect does not end well")


def _require_finish(flow: Flow, side: str, payload: bytes, what: str) -> None:
    """FIN ends one direction, after all bytes; the other direction goes on."""
    ender, other = flow.ends(side)
    ender.sendall(payload)
    ender.shutdown(socket.SHUT_WR)
    require(receive_to_end(other) == payload, f"FIN by {what}: the bytes differ")
    answer = pattern(31, PAYLOAD)
    other.sendall(answer)
    other.shutdown(socket.SHUT_WR)
    require(receive_to_end(ender) == answer, f"FIN by {what}: the answer differs")
    flow.close()


def _reset_seconds(flow: Flow, side: str, payload: bytes, what: str) -> float:
    """How long a reset takes to reach the other side."""
    ender, other = flow.ends(side)
    ender.sendall(payload)
    require(receive_exactly(other, len(payload)) == payload, f"RST by {what}: the bytes differ")
    started = time.monotonic()
    reset(ender)
    try:
        rest = other.recv(1)
    except ConnectionResetError:
        return time.monotonic() - started
    finally:
        flow.close()
    raise Failure(f"RST by {what} arrives as {'FIN' if rest == b'' else 'data'}")


for _carrier in CARRIERS:
    _declare_endings(_carrier)


# HTTP proxies


def _proxied(
    stage: Stage, body: Callable[[Proxy, str], None], **options
) -> None:
    """Runs a body with a proxy and the ticket of a share."""
    service = stage.service(echo)
    share = stage.share(service.port)
    proxy = Proxy(**options)
    try:
        body(proxy, share.ticket)
    finally:
        proxy.close()


def _require_echo(port: int) -> None:
    sent = pattern(32, PAYLOAD)
    with dial(port) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        require(receive_to_end(client) == sent, "the echo differs")


@GROUP.case("proxy")
def _proxy(stage: Stage) -> None:
    """Both carriers over TCP go through it, with credentials that nobody else gets to see."""
    def body(proxy: Proxy, ticket: str) -> None:
        for carrier in ["tcp", "ws"]:
            for form in [["--proxy"], []]:
                url = f"http://me:s%3Aesame@localhost:{proxy.port}"
                words = form + [url] if form else [f"--proxy={url}"]
                connect = stage.connect(ticket, "--carrier", carrier, "-vv", *words)
                _require_echo(connect.port)
                process = connect.process
                require_line(process, f'connected.*path="direct {carrier} ')
                line = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
                require(b"esame" not in line, f"the password stands in the command line: {line!r}")
                require("esame" not in process.errors(), "the password stands in the log")
                require(end(process, 15) == 0, "connect does not end well")
        require(len(proxy.requests) == 4, f"{len(proxy.requests)} requests instead of 4")
        address = proxy.requests[0].split(" ")[1]
        require(address.startswith("127.0.0.1:"), f"the proxy was asked for {address}")

    _proxied(stage, body, credentials="me:s:esame")


@GROUP.case("proxy-environment")
def _proxy_environment(stage: Stage) -> None:
    """HTTPS_PROXY is read, but not for addresses of this machine; `--proxy none` overrules it."""
    def body(proxy: Proxy, ticket: str) -> None:
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        for words in [[], ["--proxy", "none"]]:
            connect = stage.connect(
                ticket, "--carrier", "tcp", *words, environment=environment)
            _require_echo(connect.port)
            require(end(connect.process, 15) == 0, "connect does not end well")
        require(not proxy.requests, "the proxy was asked for an address of this machine")
        wrong = stage.run(
            "connect", ticket, environment={"HTTPS_PROXY": "socks5://me:sesame@h:1"}, status=2)
        require_text(wrong.errors(), "HTTPS_PROXY: ", "no kind of proxy", "--proxy none")
        require("sesame" not in wrong.errors(), "the password is shown")

    _proxied(stage, body)


@GROUP.case("proxy-failures", seconds=90)
def _proxy_failures(stage: Stage) -> None:
    """Each way in which a proxy fails is told with its fix, once, and in bounded time."""
    for manner, credentials, cause in [
        ("honest", "me:other", "asks for a user and a password (407)"),
        ("honest", "with", "does not accept the user and password (407)"),
        ("403 Forbidden by \x1b[31mpolicy", None, "403 Forbidden by "),
        ("garbage", None, "no HTTP proxy"), ("endless", None, "no HTTP proxy"),
        ("closing", None, "closed the connection"), ("silent", None, "does not answer"),
        ("absent", None, "cannot be connected to"),
    ]:
        def body(proxy: Proxy, ticket: str) -> None:
            port = free_tcp_port() if manner == "absent" else proxy.port
            user = "me:sesame@" if credentials == "with" else ""
            process = stage.run(
                "connect", ticket, 0, "--carrier", "tcp",
                "--proxy", f"http://{user}127.0.0.1:{port}", status=5)
            require_text(process.errors(), cause, "fix: ")
            require(process.errors().count("fix: ") == 1, f"several errors: {process.errors()}")
            require("\x1b" not in process.errors(), "an escape sequence on stderr")
            require("sesame" not in process.errors(), "the password is shown")

        required = "me:other" if credentials else None
        _proxied(stage, body, manner=manner, credentials=required)


@GROUP.case("proxy-and-udp")
def _proxy_and_udp(stage: Stage) -> None:
    """A proxy that fails does not keep UDP from passing."""
    def body(proxy: Proxy, ticket: str) -> None:
        connect = stage.connect(ticket, "--proxy", f"http://127.0.0.1:{proxy.port}")
        _require_echo(connect.port)
        require_line(connect.process, 'connected.*path="direct udp ')

    _proxied(stage, body, manner="closing")


@GROUP.case("proxy-with-pipe")
def _proxy_with_pipe(stage: Stage) -> None:
    """Only the side that connects has a proxy."""
    process = stage.run("pipe", "--proxy", "http://h:1", "--json", status=2)
    problems = json.loads(process.errors())["problems"]
    require_text(problems[0]["message"], "--proxy goes with a ticket only")
