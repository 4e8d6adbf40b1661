"""Destinations that the connecting side names: proxies, their clients, and what is refused."""

import hashlib
import http.server
import socket
import subprocess
import threading
import time

from cli.group import Group
from cli.sockets import (
    dial, echo, ending, free_tcp_port, pattern, receive_exactly, receive_to_end)
from cli.stage import Connect, Stage, end, require_line, require_text
from harness.ssh import SSHServer
from harness.suite import Skip, require

GROUP = Group("proxy")
SIZE = 3_000_000


class _Site:
    """A web server with one page and its bytes."""

    def __init__(self) -> None:
        body = pattern(31, SIZE)
        self.digest = hashlib.sha256(body).hexdigest()
        self.requests: list[str] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                requests.append(f"{self.requestline}\n{self.headers}")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _site(stage: Stage) -> _Site:
    site = _Site()
    stage.at_end(site.close)
    return site


def _curl(stage: Stage, *words: str) -> tuple[int, bytes, str]:
    """Exit status, output and complaint of curl, which must be over in time."""
    program = stage.tools.program("curl")
    done = subprocess.run(
        [program, "-q", "-sS", "-m", "15", *words], capture_output=True, timeout=20)
    return done.returncode, done.stdout, done.stderr.decode()


def _proxy(stage: Stage, rules: str, *options: object) -> Connect:
    share = stage.share(f"dynamic:{rules}")
    return stage.connect(share.ticket, *options)


@GROUP.case("curl-through-each-protocol", seconds=60)
def _each(stage: Stage) -> None:
    """The same page over SOCKS5 with a name and an address, SOCKS4a, and HTTP in both forms."""
    site = _site(stage)
    proxy = _proxy(stage, f"127.0.0.1:{site.port}").address
    ways = [
        ["--socks5-hostname", proxy], ["--socks5", proxy], ["--socks4a", proxy],
        ["-x", f"http://{proxy}"], ["-p", "-x", f"http://{proxy}"],
    ]
    for way in ways:
        for host in ["127.0.0.1", "localhost"]:
            status, body, complaint = _curl(stage, *way, f"http://{host}:{site.port}/")
            require(status == 0, f"{way} {host}: {complaint}")
            require(hashlib.sha256(body).hexdigest() == site.digest, f"{way}: other bytes")
    forwarded = [text for text in site.requests if "Via: " in text]
    require(len(forwarded) == 2, f"{len(forwarded)} requests were passed on")
    require_text(forwarded[0], "GET / HTTP/1.1", "Via: 1.1 qtun", "Connection: close")
    require("Proxy-" not in forwarded[0], "a field for the proxy went on")


@GROUP.case("ssh-through-socks", seconds=60)
def _ssh(stage: Stage) -> None:
    """A session with a command, and ten megabytes both ways through `cat`."""
    netcat = stage.tools.program("nc")
    server = SSHServer(stage.tools, stage.workspace)
    proxy = _proxy(stage, f"127.0.0.1:{server.port}").address
    way = f"{netcat} -X 5 -x {proxy} %h %p"
    asked = subprocess.run(server.command(way, "echo", "there"), capture_output=True, timeout=20)
    if b"invalid option" in asked.stderr:
        raise Skip("this nc speaks no SOCKS; scripts/setup interop installs netcat-openbsd")
    require(asked.stdout == b"there\n", f"ssh: {asked.stderr.decode()}")
    sent = pattern(17, 10_000_000)
    copied = subprocess.run(
        server.command(way, "cat"), input=sent, capture_output=True, timeout=30)
    require(copied.stdout == sent, f"ssh: {copied.stderr.decode()}")


@GROUP.case("refused-in-its-own-words", seconds=60)
def _refused(stage: Stage) -> None:
    closed = free_tcp_port()
    proxy = _proxy(stage, f"127.0.0.1:{closed},*:9,no-such-name.invalid:80").address
    socks = ["--socks5-hostname", proxy]
    # curl prints the reply code of SOCKS5 in brackets.
    for url, code in [
        (f"http://127.0.0.1:{closed}/", "(5)"), ("http://127.0.0.1:1/", "(2)"),
        ("http://10.0.0.1:9/", "(2)"), ("http://169.254.169.254:9/", "(2)"),
        ("http://localhost:9/", "(2)"), ("http://no-such-name.invalid:80/", "(4)"),
    ]:
        status, _, complaint = _curl(stage, *socks, url)
        require(status != 0 and code in complaint, f"{url}: {complaint}")
    for url, code in [
        (f"http://127.0.0.1:{closed}/", b"502"), ("http://127.0.0.1:1/", b"403"),
        ("http://[::1]:9/", b"403"), ("http://0x7f000001:9/", b"403"),
        ("http://no-such-name.invalid:80/", b"502"),
    ]:
        # In absolute form; as CONNECT the same code ends curl.
        _, output, complaint = _curl(
            stage, "-x", f"http://{proxy}", "-o", "/dev/null", "-w", "%{http_code}", url)
        require(output == code, f"{url}: {output} {complaint}")
        _, _, complaint = _curl(stage, "-p", "-x", f"http://{proxy}", url)
        require_text(complaint, code.decode())


@GROUP.case("every-spelling-of-loopback", seconds=60)
def _spellings(stage: Stage) -> None:
    """Nothing but the plain form of an allowed address reaches it; `*` never does."""
    service = stage.service(echo)
    connect = _proxy(stage, "*:*")
    hosts = [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.0.0.1.",
        "localhost", "LOCALHOST.", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "0.0.0.0", "0", "::",
        "64:ff9b::7f00:1", "::1%lo", "127%2e0.0.1", "2002:7f00:1::",
    ]
    for host in hosts:
        with dial(connect.port) as client:
            name = host.encode()
            client.sendall(b"\5\1\0")
            require(receive_exactly(client, 2) == b"\5\0", "no greeting")
            port = service.port.to_bytes(2, "big")
            client.sendall(b"\5\1\0\3" + bytes([len(name)]) + name + port)
            reply = receive_exactly(client, 10)
            require(reply[1] == 2, f"{host}: reply {reply[1]}")
            require(ending(client) == "FIN", f"{host}: the refusal was cut off")


@GROUP.case("half-close-through-socks")
def _half_close(stage: Stage) -> None:
    def answer(connection: socket.socket) -> None:
        data = receive_to_end(connection)
        connection.sendall(data[::-1])

    service = stage.service(answer)
    connect = _proxy(stage, f"127.0.0.1:{service.port}")
    sent = pattern(5, SIZE)
    with dial(connect.port) as client:
        port = service.port.to_bytes(2, "big")
        # Everything at once: greeting, request and data do not wait for answers.
        client.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + port + sent)
        client.shutdown(socket.SHUT_WR)
        answer_bytes = receive_to_end(client)
    require(answer_bytes[:4] == b"\5\0\5\0", "another reply")
    require(answer_bytes[12:] == sent[::-1], "the answer differs")


@GROUP.case("malformed-requests", seconds=60)
def _malformed(stage: Stage) -> None:
    """Each is refused or dropped, and a tunnel beside them goes on."""
    service = stage.service(echo)
    connect = _proxy(stage, f"127.0.0.1:{service.port}")
    port = service.port.to_bytes(2, "big")
    with dial(connect.port) as steady:
        steady.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + port)
        receive_exactly(steady, 12)
        answers = {
            b"\5\1\x02": b"\5\xff", b"\5\0": b"\5\xff", b"\6\1\0": b"", b"\0" * 100: b"",
            b"\5\1\0\4\1\0": b"\5\0", b"\5\1\0\5\2\0\1\1\2\3\4\0\1": b"\5\0\5\7",
            b"\5\1\0\5\3\0\x09": b"\5\0\5\x08", b"\5\1\0\5\1\0\x09": b"\5\0\5\x08",
            b"\4\1\0\x50" + b"\1\2\3\4" + b"u" * 300: b"\0\x5b",
            b"\x16\3\1\2\0\1\0\1\xfc": b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n": b"HTTP/1.1 400",
            b"CONNECT a HTTP/1.1\r\n\r\n": b"HTTP/1.1 400",
            b"CONNECT a:1 HTTP/1.1\nA: b\n\n\r\n\r\n": b"HTTP/1.1 400",
            b"CONNECT a:1 HTTP/1.1\r\nA: " + b"a" * 9000: b"HTTP/1.1 431",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\5\1\0": b"HTTP/1.1 400",
        }
        for request, expected in answers.items():
            for pieces in [[request], [request[i:i + 1] for i in range(min(len(request), 400))]]:
                if len(pieces) == 400 and len(request) > 400:
                    continue
                with dial(connect.port) as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    answer = b""
                    try:
                        for piece in pieces:
                            client.sendall(piece)
                        answer = receive_to_end(client)
                    except (ConnectionResetError, BrokenPipeError):
                        pass
                require(answer.startswith(expected), f"{request[:40]!r}: {answer!r}")
        steady.sendall(b"still here")
        require(receive_exactly(steady, 10) == b"still here", "the other tunnel broke")


@GROUP.case("slow-requests-are-let-go", seconds=40)
def _slow(stage: Stage) -> None:
    connect = _proxy(stage, "*:443")
    started = time.monotonic()
    clients = [dial(connect.port) for _ in range(50)]
    while time.monotonic() - started < 9:
        for client in clients:
            client.sendall(b"C")
        time.sleep(1)
    for client in clients:
        require(ending(client) == "RST", "a slow client was answered")
        client.close()
    require(time.monotonic() - started < 15, "slow clients hold their places")


@GROUP.case("password")
def _password(stage: Stage) -> None:
    site = _site(stage)
    secret = stage.temporary / "auth"
    secret.write_text("user:pass word\n")
    share = stage.share(f"dynamic:127.0.0.1:{site.port}")
    exposed = stage.run("connect", share.ticket, "0", "--proxy-auth", secret, status=3)
    require_text(exposed.errors(), "others can read", "chmod 600")
    secret.chmod(0o600)
    connect = stage.connect(share.ticket, "--proxy-auth", secret)
    url = f"http://127.0.0.1:{site.port}/"
    for proxy, is_right in [
        (f"socks5h://user:pass%20word@{connect.address}", True),
        (f"http://user:pass%20word@{connect.address}", True),
        (f"socks5h://user:wrong@{connect.address}", False),
        (f"socks5h://{connect.address}", False), (f"socks4a://user@{connect.address}", False),
        (f"http://user:wrong@{connect.address}", False), (f"http://{connect.address}", False),
    ]:
        status, output, complaint = _curl(
            stage, "-f", "-x", proxy, "-o", "/dev/null", "-w", "%{http_code}", url)
        require((status == 0 and output == b"200") == is_right, f"{proxy}: {output} {complaint}")
    open_to_all = stage.start("connect", share.ticket, "0.0.0.0:0")
    require_line(open_to_all, "proxy without a password.*--proxy-auth")
    require("pass word" not in connect.process.errors(), "the password is in the log")
    secret.write_text("nothing\n")
    wrong = stage.run("connect", share.ticket, "0", "--proxy-auth", secret, status=3)
    require_text(wrong.errors(), "is not USER:PASSWORD")


@GROUP.case("beside-a-service")
def _beside(stage: Stage) -> None:
    """One session with an ordinary service and a dynamic one, each opened as what it is."""
    service = stage.service(echo)
    share = stage.share(f"web={service.port}", f"out=dynamic:127.0.0.1:{service.port}")
    process = stage.start("connect", share.ticket, "web=0", "out=0")
    process.wait_for(lambda: process.output().count("\n") == 2)
    places = dict(line.split(" ") for line in process.output().splitlines())
    port = service.port.to_bytes(2, "big")
    with dial(int(places["web"].split(":")[1])) as client:
        client.sendall(b"\5\1\0")
        require(receive_exactly(client, 3) == b"\5\1\0", "the service is no echo any more")
    with dial(int(places["out"].split(":")[1])) as client:
        client.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + port + b"hello")
        require(receive_exactly(client, 17)[12:] == b"hello", "the proxy leads elsewhere")
    require(end(process, 15) == 0, "connect did not drain")


@GROUP.case("rules-that-are-wrong")
def _wrong_rules(stage: Stage) -> None:
    for rules in ["", "*", "a", "10.0.0.1/8:22", "a:1,", "2130706433:80"]:
        failed = stage.run("share", f"dynamic:{rules}", status=2)
        require_text(failed.errors(), "has a rule that cannot be read", "fix: write HOST:PORTS")
    share = stage.share(f"dynamic:*:443")
    wrong = stage.run("connect", share.ticket, "dynamic:*:443", status=2)
    require_text(wrong.errors(), "is something to share")
    require_line(share.process, "sharing")
