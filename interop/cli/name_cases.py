"""Visitors by name: `qtun relay --http --tls`, `qtun share --public NAME`, and what the sharer sees."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

from cli.group import Group
from cli.sockets import dial, free_tcp_port, receive_exactly, receive_to_end
from cli.stage import Stage, end, first_line, require_line, require_text
from cli.websites import Relay, ask_raw, curl, get_request, open_site, share_site
from harness.suite import require

GROUP = Group("names")


@GROUP.case("name-http")
def _http(stage: Stage) -> None:
    """Two shares at one port, told apart by the host in the request."""
    relay = Relay(stage)
    for name in ["a", "b"]:
        port, _ = open_site(stage, name)
        share = share_site(stage, relay, port, "--public", f"{name}.test", key=name)
        address = share.output().split("\n")[1]
        require(address == f"http://{name}.test:{relay.http}", f"'{address}' was printed")
        require("\u2588" not in share.output() + share.errors(), "a QR code without a terminal")
    for name in ["a", "b"]:
        require(curl(relay.http, f"http://{name}.test/x") == name, f"{name} is not {name}")
        require(curl(relay.http, f"http://{name.upper()}.TEST./x") == name, "case matters")
    # A request in absolute form names the host twice, and its target counts.
    target = f"GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    require(ask_raw(relay.http, target.encode()).endswith(b"\r\n\r\nb"), "the field wins over the target")
    page = curl(relay.http, "http://nobody.test/", "-i")
    require_text(page, "HTTP/1.1 404 Not Found", "nobody shares nobody.test here")
    require_text(curl(relay.http, "http://127.0.0.1/", "-i"), "404 Not Found", "nobody shares this")
    for request, status in [
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"\x80\x81\x82\r\n\r\n", b"400"),
        (get_request("/" + "a" * 17_000, "a.test"), b"431"),
    ]:
        answer = ask_raw(relay.http, request)
        require(answer.startswith(b"HTTP/1.1 " + status), f"{answer[:60]} to {request[:30]}")


@GROUP.case("name-keep-alive")
def _keep_alive(stage: Stage) -> None:
    """A connection serves many requests for its host, and none for another."""
    relay = Relay(stage)
    port, a = open_site(stage, "a")
    share_site(stage, relay, port, "--public", "a.test", key="a")
    other, b = open_site(stage, "b")
    share_site(stage, relay, other, "--public", "b.test", key="b")
    made = curl(
        relay.http, "http://a.test/1", "-o", "/dev/null", "-w", "%{num_connects} ",
        "http://a.test/2", "-o", "/dev/null")
    require(made.split() == ["1", "0"], f"curl made connections anew: {made}")
    with dial(relay.http) as visitor:
        visitor.sendall(get_request("/3", "a.test") * 2)
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
    port, site = open_site(stage, "a")
    share = share_site(stage, relay, port, "--public", "a.test")
    with dial(relay.http) as visitor:
        visitor.sendall(get_request("/stream", "a.test"))
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
        count = curl(relay.http, "http://a.test/up", "--data-binary", f"@{body}", *form)
        require(count == "3000000", f"{count} bytes arrived with {form}")
    with dial(relay.http) as visitor:
        visitor.sendall(get_request("/chat", "a.test", "Connection: Upgrade", "Upgrade: websocket"))
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
    port, _ = open_site(stage, "a")
    share_site(stage, relay, port, "--public", "a.test")
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "--connect-to",
         f"::127.0.0.1:{relay.http}", "http://a.test/"], capture_output=True, text=True)
    require(run.returncode != 0, "HTTP/2 was served")
    answer = ask_raw(relay.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    require(answer[:9] == b"\0\0\0\4\0\0\0\0\0", "no SETTINGS")
    require(answer[12] == 7 and answer[22:26] == b"\0\0\0\x0d", "no GOAWAY with HTTP_1_1_REQUIRED")
    require(b"Host of HTTP/1.1" in answer, "it does not say why")


@GROUP.case("name-slow", seconds=60)
def _slow(stage: Stage) -> None:
    """Visitors who never come to the end of a head: a bounded number, and for ten seconds."""
    relay = Relay(stage)
    port, _ = open_site(stage, "a")
    share_site(stage, relay, port, "--public", "a.test")
    slow, answers = [], []
    for _ in range(200):
        # One too many may be reset at once, even while it connects; the kernel says so once.
        try:
            visitor = dial(relay.http)
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
            slow.append(visitor)
        except (ConnectionResetError, BrokenPipeError):
            answers.append(b"RST")
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
    require(curl(relay.http, "http://a.test/") == "a", "an honest visitor is not served")


@GROUP.case("name-away", seconds=60)
def _away(stage: Stage) -> None:
    """What a visitor hears when the share, or its service, cannot answer."""
    relay = Relay(stage)
    port, site = open_site(stage, "a")
    share = share_site(stage, relay, port, "--public", "a.test")
    share_site(stage, relay, free_tcp_port(), "--public", "dead.test", key="dead")
    page = curl(relay.http, "http://dead.test/", "-i")
    require_text(page, "HTTP/1.1 502 Bad Gateway", "its service does not answer")
    page = curl(relay.http, "http://a.test/reset", "-i")
    # Whether the service was reached before it gave up is not always known.
    require_text(page, "HTTP/1.1 502 Bad Gateway", "qtun: the share behind this name is")
    with dial(relay.http) as begun:
        begun.sendall(get_request("/half", "a.test"))
        try:
            cut = receive_to_end(begun)
            require(False, f"half an answer ended as if it were whole: {cut}")
        except ConnectionResetError:
            pass
    # Nobody tells the relay of this death, so it waits for an answer first.
    end(share, signal.SIGKILL)
    died = time.monotonic()
    page = curl(relay.http, "http://a.test/", "-i")
    require_text(page, "HTTP/1.1 502 Bad Gateway", "the share behind this name is away")
    # Two seconds of silence; the rest is for a machine that has other work.
    require(time.monotonic() - died < 6, f"502 after {time.monotonic() - died:.1f} s")
    share = share_site(stage, relay, port, "--public", "a.test")
    require(curl(relay.http, "http://a.test/") == "a", "the same key does not have its name back")
    with dial(relay.http) as late:
        late.sendall(get_request("/", "a.test")[:-2])
        require(end(share, signal.SIGTERM) == 0, "the share did not end well")
        late.sendall(b"\r\n")
        require_text(receive_to_end(late).decode(), "HTTP/1.1 404 Not Found")


@GROUP.case("name-qr")
def _qr(stage: Stage) -> None:
    """A terminal shows the public address as a QR code, unless it is told not to."""
    relay = Relay(stage)
    port, _ = open_site(stage, "a")
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
    port, _ = open_site(stage, "a")
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
    port, _ = open_site(stage, "a")
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
    share = share_site(stage, relay, f"dir:{folder}", "--public", "a.test")
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
    # Some are under way when wrk leaves: broken off, with or without an answer.
    shown = len(re.findall(r"^  [+!x] (?:200|---)  GET  /  ", share.errors(), re.MULTILINE))
    hidden = sum(int(n) for n in re.findall(r"^ +(\d+) requests? not shown", share.errors(), re.MULTILINE))
    told = int(re.search(r"^requests: (\d+)", share.errors(), re.MULTILINE).group(1))
    require(told >= total and shown + hidden == told, f"{told} of {total}: {shown} and {hidden}")
