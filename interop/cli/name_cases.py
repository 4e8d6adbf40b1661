"""Visitors by name: `qtun relay --http --tls`, `qtun share --public NAME`, and what the sharer sees."""

import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import signal
import struct
import socket
import ssl
import subprocess
import termios
import threading
import time

from cli.group import Group
from cli.sockets import dial, free_tcp_port, receive_exactly, receive_to_end
from cli.stage import Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("names")


class Relay:
    """A running `qtun relay` that gives out names below .test."""

    def __init__(self, stage: Stage, *options: object) -> None:
        self.http, self.tls = free_tcp_port(), free_tcp_port()
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


def _site(stage: Stage, name: str):
    """A web server of that name, and what it was asked."""
    kind = type("Site", (Site,), {"name": name, "seen": [], "go_on": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage.at_end(server.shutdown)
    return server.server_port, kind


def _share(stage: Stage, relay: Relay, target: object, *options: object, key: str = "") -> Process:
    words = ["--identity", stage.workspace.path / key] if key else []
    share = stage.start(
        "share", target, "--listen", "127.0.0.1:0", "--rendezvous", relay.name, *words, *options)
    found = share.wait_for(lambda: share.output().count("\n") > 1, seconds=20)
    require(bool(found), f"no public address: {share.errors()}")
    return share


def _curl(port: int, url: str, *options: str, status: int = 0) -> str:
    """What curl prints for a URL whose hosts are all on this port of loopback."""
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--connect-to", f"::127.0.0.1:{port}", *options, url],
        capture_output=True, text=True)
    require(run.returncode == status, f"curl ended with {run.returncode}: {run.stderr}")
    return run.stdout


def _ask(port: int, request: bytes) -> bytes:
    """The whole answer to raw bytes, up to the end of the connection."""
    with dial(port) as visitor:
        visitor.sendall(request)
        return receive_to_end(visitor)


def _get(path: str, host: str, *fields: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@GROUP.case("name-http")
def _http(stage: Stage) -> None:
    """Two shares at one port, told apart by the host in the request."""
    relay = Relay(stage)
    for name in ["a", "b"]:
        port, _ = _site(stage, name)
        share = _share(stage, relay, port, "--public", f"{name}.test", key=name)
        address = share.output().split("\n")[1]
        require(address == f"http://{name}.test:{relay.http}", f"'{address}' was printed")
        require("\u2588" not in share.output() + share.errors(), "a QR code without a terminal")
    for name in ["a", "b"]:
        require(_curl(relay.http, f"http://{name}.test/x") == name, f"{name} is not {name}")
        require(_curl(relay.http, f"http://{name.upper()}.TEST./x") == name, "case matters")
    # A request in absolute form names the host twice, and its target counts.
    target = f"GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    require(_ask(relay.http, target.encode()).endswith(b"\r\n\r\nb"), "the field wins over the target")
    page = _curl(relay.http, "http://nobody.test/", "-i")
    require_text(page, "HTTP/1.1 404 Not Found", "nobody shares nobody.test here")
    require_text(_curl(relay.http, "http://127.0.0.1/", "-i"), "404 Not Found", "nobody shares this")
    for request, status in [
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"\x80\x81\x82\r\n\r\n", b"400"),
        (_get("/" + "a" * 17_000, "a.test"), b"431"),
    ]:
        answer = _ask(relay.http, request)
        require(answer.startswith(b"HTTP/1.1 " + status), f"{answer[:60]} to {request[:30]}")


@GROUP.case("name-keep-alive")
def _keep_alive(stage: Stage) -> None:
    """A connection serves many requests for its host, and none for another."""
    relay = Relay(stage)
    port, a = _site(stage, "a")
    _share(stage, relay, port, "--public", "a.test", key="a")
    other, b = _site(stage, "b")
    _share(stage, relay, other, "--public", "b.test", key="b")
    made = _curl(
        relay.http, "http://a.test/1", "-o", "/dev/null", "-w", "%{num_connects} ",
        "http://a.test/2", "-o", "/dev/null")
    require(made.split() == ["1", "0"], f"curl made connections anew: {made}")
    with dial(relay.http) as visitor:
        visitor.sendall(_get("/3", "a.test") * 2)
        answers = visitor.makefile("rb")
        for _ in range(2):
            while answers.readline() != b"\r\n":
                pass
            require(answers.read(1) == b"a", "another answer")
        # The head in two pieces: its beginning must not go on either.
        visitor.sendall(b"GET /secret HTTP/1.1\r\nCookie: s\r\n")
        time.sleep(0.2)
        visitor.sendall(b"Host: b.test\r\n\r\n")
        last = answers.read()
    require(last.startswith(b"HTTP/1.1 421 Misdirected Request"), f"{last[:80]}")
    require(len(a.seen) == 4 and all("a.test" in line for line in a.seen), f"a saw {a.seen}")
    require(b.seen == [], f"b saw {b.seen}")


@GROUP.case("name-streams")
def _streams(stage: Stage) -> None:
    """Chunks pass one by one, bodies whole, and an upgrade becomes a pipe."""
    relay = Relay(stage)
    port, site = _site(stage, "a")
    share = _share(stage, relay, port, "--public", "a.test")
    with dial(relay.http) as visitor:
        visitor.sendall(_get("/stream", "a.test"))
        got = b""
        while b"first" not in got:
            got += visitor.recv(65536)
        require(b"second" not in got, "the rest came too soon")
        site.go_on.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += visitor.recv(65536)
    body = stage.workspace.path / "body"
    body.write_bytes(b"x" * 3_000_000)
    for form in [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]:
        count = _curl(relay.http, "http://a.test/up", "--data-binary", f"@{body}", *form)
        require(count == "3000000", f"{count} bytes arrived with {form}")
    with dial(relay.http) as visitor:
        visitor.sendall(_get("/chat", "a.test", "Connection: Upgrade", "Upgrade: websocket"))
        got = b""
        while b"\r\n\r\n" not in got:
            got += visitor.recv(65536)
        require(got.startswith(b"HTTP/1.1 101 "), f"{got[:60]}")
        frames = bytes(range(256)) * 1000
        visitor.sendall(frames)
        require(receive_exactly(visitor, len(frames)) == frames, "other bytes behind the upgrade")
    for line in [r"200  GET  /stream", r"200  POST  /up", r"101  GET  /chat"]:
        require_line(share, rf"^  \+ {line}  ")


@GROUP.case("name-http2")
def _http2(stage: Stage) -> None:
    """HTTP/2 without an agreement hears why not, in its own words."""
    relay = Relay(stage)
    port, _ = _site(stage, "a")
    _share(stage, relay, port, "--public", "a.test")
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "--connect-to",
         f"::127.0.0.1:{relay.http}", "http://a.test/"], capture_output=True, text=True)
    require(run.returncode != 0, "HTTP/2 was served")
    answer = _ask(relay.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    require(answer[:9] == b"\0\0\0\4\0\0\0\0\0", "no SETTINGS")
    require(answer[12] == 7 and answer[22:26] == b"\0\0\0\x0d", "no GOAWAY with HTTP_1_1_REQUIRED")
    require(b"Host of HTTP/1.1" in answer, "it does not say why")


@GROUP.case("name-slow", seconds=60)
def _slow(stage: Stage) -> None:
    """Visitors who never come to the end of a head: a bounded number, and for ten seconds."""
    relay = Relay(stage)
    port, _ = _site(stage, "a")
    _share(stage, relay, port, "--public", "a.test")
    slow, answers = [], []
    for _ in range(200):
        # One too many may be reset at once, even while it connects.
        try:
            slow.append(dial(relay.http))
        except ConnectionResetError:
            answers.append(b"RST")
            continue
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            slow[-1].sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
    start = time.monotonic()
    for visitor in slow:
        try:
            answers.append(receive_to_end(visitor)[:12])
        except (ConnectionResetError, BrokenPipeError):
            answers.append(b"RST")
        visitor.close()
    took = time.monotonic() - start
    require(answers.count(b"HTTP/1.1 408") == 128, f"{answers.count(b'HTTP/1.1 408')} were waited for")
    require(answers.count(b"RST") == 72, f"{answers.count(b'RST')} were too many")
    require(8 < took < 20, f"they had {took:.1f} s")
    require(_curl(relay.http, "http://a.test/") == "a", "an honest visitor is not served")


@GROUP.case("name-away", seconds=60)
def _away(stage: Stage) -> None:
    """What a visitor hears when the share, or its service, cannot answer."""
    relay = Relay(stage)
    port, site = _site(stage, "a")
    share = _share(stage, relay, port, "--public", "a.test")
    _share(stage, relay, free_tcp_port(), "--public", "dead.test", key="dead")
    page = _curl(relay.http, "http://dead.test/", "-i")
    require_text(page, "HTTP/1.1 502 Bad Gateway", "its service does not answer")
    page = _curl(relay.http, "http://a.test/reset", "-i")
    # Whether the service was reached before it gave up is not always known.
    require_text(page, "HTTP/1.1 502 Bad Gateway", "qtun: the share behind this name is")
    with dial(relay.http) as begun:
        begun.sendall(_get("/half", "a.test"))
        try:
            cut = receive_to_end(begun)
            require(False, f"half an answer ended as if it were whole: {cut}")
        except ConnectionResetError:
            pass
    # Nobody tells the relay of this death, so it waits for an answer first.
    end(share, signal.SIGKILL)
    page = _curl(relay.http, "http://a.test/", "-i")
    require_text(page, "HTTP/1.1 502 Bad Gateway", "the share behind this name is away")
    share = _share(stage, relay, port, "--public", "a.test")
    require(_curl(relay.http, "http://a.test/") == "a", "the same key does not have its name back")
    with dial(relay.http) as late:
        late.sendall(_get("/", "a.test")[:-2])
        require(end(share, signal.SIGTERM) == 0, "the share did not end well")
        late.sendall(b"\r\n")
        require_text(receive_to_end(late).decode(), "HTTP/1.1 404 Not Found")


def _certificate(stage: Stage, name: str, *hosts: str) -> tuple:
    """A self-signed certificate for some hosts, and its key."""
    certificate = stage.workspace.path / f"{name}.pem"
    key = stage.workspace.path / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts), "-keyout", key, "-out",
         certificate], check=True, capture_output=True)
    return certificate, key


def _s_client(port: int, *options: str) -> str:
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options], input=b"",
        capture_output=True, timeout=20)
    return (run.stdout + run.stderr).decode(errors="replace")


@GROUP.case("name-tls")
def _tls(stage: Stage) -> None:
    """TLS passes unopened, by the server name; names that nobody shares get an alert."""
    relay = Relay(stage)
    certificate, key = _certificate(stage, "app", "app.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    kind = type("Site", (Site,), {"name": "secure", "seen": [], "go_on": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage.at_end(server.shutdown)
    share = _share(stage, relay, server.server_port, "--public", "tls:app.test")
    address = share.output().split("\n")[1]
    require(address == f"https://app.test:{relay.tls}", f"'{address}' was printed")
    body = _curl(relay.tls, "https://app.test/", "--cacert", str(certificate), "--http1.1")
    require(body == "secure", f"'{body}' came")
    said = _s_client(relay.tls, "-servername", "app.test", "-alpn", "h2")
    require_text(said, "CN = app", "ALPN protocol: h2")
    for options in [["-servername", "other.test"], ["-noservername"]]:
        require_text(_s_client(relay.tls, *options), "unrecognized name")
    # A ClientHello in pieces of a byte, each a packet.
    with dial(relay.tls) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = ssl.create_default_context(cafile=str(certificate))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client.wrap_bio(incoming, outgoing, server_hostname="app.test")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                visitor.sendall(bytes([byte]))
        require(visitor.recv(1) == b"\x16", "no ServerHello")
    with dial(relay.tls) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            require(receive_to_end(visitor) == b"", "what is no TLS was answered")
        except ConnectionResetError:
            pass


@GROUP.case("name-https", seconds=60)
def _https(stage: Stage) -> None:
    """HTTPS that ends at the relay, with a certificate that is renewed, broken, and renewed again."""
    old, new = [_certificate(stage, name, "a.test", "b.test") for name in ["old", "new"]]
    files = stage.workspace.path / "relay.pem", stage.workspace.path / "relay.key"

    def install(certificate: bytes, key: bytes) -> None:
        files[0].write_bytes(certificate)
        files[1].write_bytes(key)
        # Visitors have it looked at, once a second at most.
        time.sleep(1.1)

    def served_with() -> str:
        said = _s_client(relay.tls, "-servername", "a.test")
        found = re.search(r"subject=CN = (\w+)", said)
        require(found is not None, f"no certificate:\n{said}")
        return found.group(1)

    install(old[0].read_bytes(), old[1].read_bytes())
    relay = Relay(stage, "--certificate", files[0], "--certificate-key", files[1])
    port, site = _site(stage, "a")
    _share(stage, relay, port, "--public", "a.test")
    fetch = ["--cacert", str(files[0])]
    require(_curl(relay.tls, "https://a.test/", *fetch) == "a", "not served by HTTPS")
    require(_curl(relay.http, "http://a.test/") == "a", "not served by HTTP any more")
    body = stage.workspace.path / "body"
    body.write_bytes(b"x" * 3_000_000)
    count = _curl(relay.tls, "https://a.test/up", *fetch, "--data-binary", f"@{body}")
    require(count == "3000000", f"{count} bytes arrived")
    page = _curl(relay.tls, "https://b.test/", *fetch, "-i")
    require_text(page, "404 Not Found", "nobody shares b.test here")
    require(served_with() == "old", "another certificate")
    install(b"no certificate\n", new[1].read_bytes())
    require(served_with() == "old", "a broken certificate took the old one away")
    require_line(relay.process, "certificate cannot be used")
    install(new[0].read_bytes(), new[1].read_bytes())
    require(served_with() == "new", "the renewed certificate is not served")
    require_line(relay.process, "certificate read again")
    require(_curl(relay.tls, "https://a.test/", *fetch) == "a", "not served with the new one")
    files[0].unlink()
    time.sleep(1.1)
    require(served_with() == "new", "a missing certificate took the old one away")


@GROUP.case("name-qr")
def _qr(stage: Stage) -> None:
    """A terminal shows the public address as a QR code, unless it is told not to."""
    relay = Relay(stage)
    port, _ = _site(stage, "a")
    for options, is_shown in [([], True), (["--no-qr"], False)]:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        places = {"HOME": str(stage.home), "TMPDIR": str(stage.temporary), "TERM": "xterm"}
        share = subprocess.Popen(
            [stage.tools.qtun, "share", str(port), "--listen", "127.0.0.1:0", "--rendezvous",
             relay.name, "--public", "a.test", *options], stdin=subprocess.DEVNULL, stdout=follower,
            stderr=follower, env=os.environ | places)
        os.close(follower)
        stage.at_end(share.kill)
        # The end of the run closes the terminal.
        timer = threading.Timer(4, share.terminate)
        timer.start()
        shown = b""
        while True:
            try:
                shown += os.read(leader, 65536)
            except OSError:
                break
        os.close(leader)
        require(share.wait(20) == 0, f"the share ended with {share.returncode}")
        text = shown.decode(errors="replace")
        require_text(text, f"http://a.test:{relay.http}")
        lines = [line for line in text.splitlines() if line.count("\u2588") > 8]
        require((len(lines) > 8) == is_shown, f"{len(lines)} lines of a QR code with {options}")


@GROUP.case("request-view")
def _view(stage: Stage) -> None:
    """A line for each request of an ordinary share, and their times at the end."""
    port, _ = _site(stage, "a")
    share = stage.share(port)
    connect = stage.connect(share.ticket)
    base = f"http://127.0.0.1:{connect.port}"
    for path in ["/ok?token=secret", "/missing/x", "/a%1b[2J"]:
        subprocess.run(["curl", "-sS", "-g", "-o", "/dev/null", base + path], check=True)
    require_line(share.process, r"^  \+ 200  GET  /ok  [\d.]+ [um]?s$")
    require_line(share.process, r"^  ! 404  GET  /missing/x  ")
    with dial(connect.port) as visitor:
        visitor.sendall(b"GET /\x1b[2J\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        receive_to_end(visitor)
    require_line(share.process, r"GET  /\\u\{1b\}\[2J")
    require("\x1b" not in share.process.errors(), "a control character was passed on")
    require("secret" not in share.process.errors(), "a query was printed")
    # What is no HTTP goes by unseen.
    with dial(connect.port) as visitor:
        visitor.sendall(b"\x16\x03\x01\0\1\0")
    require(end(share.process, signal.SIGTERM) == 0, "the share did not end well")
    require_text(share.process.errors(), "requests: 4, ", " p50 ", " p90 ", " p99 ")


@GROUP.case("request-view-json")
def _view_json(stage: Stage) -> None:
    port, _ = _site(stage, "a")
    share = stage.start("share", port, "--listen", "127.0.0.1:0", "--json")
    ticket = json.loads(first_line(share))["ticket"]
    connect = stage.connect(ticket)
    for path in ["/ok", "/missing"]:
        subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", f"http://127.0.0.1:{connect.port}{path}"], check=True)
    share.wait_for(lambda: share.output().count("\n") >= 3, seconds=10)
    require(end(share, signal.SIGTERM) == 0, "the share did not end well")
    facts = [json.loads(line) for line in share.output().splitlines()]
    found = [(fact["method"], fact["path"], fact["status"]) for fact in facts[1:3]]
    require(found == [("GET", "/ok", 200), ("GET", "/missing", 404)], f"{facts}")
    summary = facts[-1]["requests"]
    require(summary["count"] == 2 and summary["2xx"] == 1 and summary["4xx"] == 1, f"{summary}")
    require(summary["time_p99_us"] >= summary["time_p50_us"] >= 0, f"{summary}")


@GROUP.case("name-load", seconds=60, alone=True)
def _load(stage: Stage) -> None:
    """Many requests at once, on connections that are kept and on new ones: none fails."""
    relay = Relay(stage)
    folder = stage.workspace.path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("hello\n")
    share = _share(stage, relay, f"dir:{folder}", "--public", "a.test")
    total = 0
    for fields in [[], ["-H", "Connection: close"]]:
        run = subprocess.run(
            ["wrk", "-t", "1", "-c", "20", "-d", "3s", "-H", "Host: a.test", *fields,
             f"http://127.0.0.1:{relay.http}/"], capture_output=True, text=True, check=True)
        require("Socket errors" not in run.stdout and "Non-2xx" not in run.stdout, run.stdout)
        total += int(re.search(r"(\d+) requests in", run.stdout).group(1))
    require(total > 100, f"{total} requests only")
    # Those that nobody could read were counted instead.
    require(end(share, signal.SIGTERM, seconds=20) == 0, "the share did not end well")
    shown = len(re.findall(r"^  \+ 200  GET  /  ", share.errors(), re.MULTILINE))
    hidden = sum(int(n) for n in re.findall(r"^ +(\d+) requests? not shown", share.errors(), re.MULTILINE))
    told = int(re.search(r"^requests: (\d+)", share.errors(), re.MULTILINE).group(1))
    require(told >= total and shown + hidden == told, f"{told} of {total}: {shown} and {hidden}")
