"""ssh's grammar of forwards: -L, -R, -D and -W, with the programs that people use with them."""

import hashlib
import http.server
import json
import shlex
import shutil
import stat
import subprocess
import threading

from cli.group import Group
from cli.sockets import (
    PIECE, dial, echo, ending, free_tcp_port, pattern, receive_exactly, receive_to_end)
from cli.stage import Share, Stage, end, require_line, require_text
from harness.process import Process
from harness.ssh import SSHServer
from harness.suite import require

GROUP = Group("to")
SIZE = 2_000_000


def _site(stage: Stage) -> tuple[int, str]:
    """A web server with one page; its port and the digest of the page."""
    body = pattern(41, SIZE)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage.at_end(server.server_close)
    stage.at_end(server.shutdown)
    return server.server_address[1], hashlib.sha256(body).hexdigest()


def _fetch(stage: Stage, url: str, *words: str) -> str:
    """The digest of what curl gets."""
    curl = stage.tools.program("curl")
    done = subprocess.run(
        [curl, "-q", "-sS", "-f", "-m", "15", *words, url], capture_output=True, timeout=20)
    require(done.returncode == 0, f"curl {words} {url}: {done.stderr.decode()}")
    return hashlib.sha256(done.stdout).hexdigest()


def _lines(process: Process, count: int) -> list[list[str]]:
    """What was opened: option, address and where it leads."""
    process.wait_for(lambda: process.output().count("\n") >= count, seconds=20)
    lines = [line.split(" ", 2) for line in process.output().splitlines()]
    require(len(lines) == count, f"{count} lines expected: {lines}\n{process.errors()}")
    return lines


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


@GROUP.case("several-of-each", seconds=60)
def _several(stage: Stage) -> None:
    """curl through -L to a destination and a service, -D, and -R, all on one session."""
    site, digest = _site(stage)
    far, farther = free_tcp_port(), free_tcp_port()
    share = stage.share(
        f"web={site}", f"out=dynamic:127.0.0.1:{site}", "--allow-listen", f"{far},{farther}")
    socket_path = stage.temporary / "local.sock"
    process = stage.start(
        "to", share.ticket, "-L", f"0:127.0.0.1:{site}", "-L", "0:web",
        "-L", f"{socket_path}:web", "-D", "0", "-R", f"{far}:127.0.0.1:{site}",
        "-R", f"{farther}:{site}")
    lines = _lines(process, 6)
    require([line[0] for line in lines] == ["-L", "-L", "-L", "-D", "-R", "-R"], f"{lines}")
    require(lines[0][2] == f"127.0.0.1:{site}" and lines[1][2] == "web", f"{lines}")
    require([_port(line[1]) for line in lines[4:]] == [far, farther], f"{lines}")
    for line in [lines[0], lines[1], lines[4], lines[5]]:
        require(_fetch(stage, f"http://{line[1]}/") == digest, f"{line}: other bytes")
    require(
        _fetch(stage, "http://web/", "--unix-socket", str(socket_path)) == digest, "other bytes")
    proxied = _fetch(stage, f"http://127.0.0.1:{site}/", "--socks5-hostname", lines[3][1])
    require(proxied == digest, "other bytes through the proxy")
    require_line(share.process, "listening for the peer")
    require(end(process, 15) == 0, "it did not drain")
    for port in [far, farther]:
        try:
            dial(port).close()
            require(False, f"port {port} is still listened at")
        except ConnectionRefusedError:
            pass
    require_text(process.errors(), "6 flows")
    require(end(share.process, 15) == 0, "the share did not drain")
    require_text(share.process.errors(), "6 flows")


@GROUP.case("json")
def _json(stage: Stage) -> None:
    service = stage.service(echo)
    share = stage.share(f"web={service.port}", "--allow-listen", "*")
    process = stage.start("to", share.ticket, "-L", "0:web", "-R", f"0:{service.port}", "--json")
    process.wait_for(lambda: process.output().count("\n") == 2, seconds=20)
    lines = [json.loads(line) for line in process.output().splitlines()]
    require(
        [(line["event"], line["option"], line["target"]) for line in lines] == [
            ("listening", "-L", "web"), ("listening", "-R", f"localhost:{service.port}")],
        f"{lines}")
    for line in lines:
        with dial(_port(line["address"])) as client:
            client.sendall(b"there")
            require(receive_exactly(client, 5) == b"there", "no echo")


@GROUP.case("ssh-by-proxycommand", seconds=60)
def _ssh(stage: Stage) -> None:
    """ssh, and scp in both directions, through `qtun to NAME -W %h:%p`."""
    server = SSHServer(stage.tools, stage.workspace)
    share = stage.share(f"dynamic:127.0.0.1:{server.port}")
    saved = stage.run("ticket", "save", "home", share.ticket)
    require_text(saved.errors(), "`qtun to home` uses it")
    book = stage.home / ".config" / "qtun" / "peers"
    require(stat.S_IMODE((book / "home").stat().st_mode) == 0o600, "others can read the ticket")
    require(stat.S_IMODE(book.stat().st_mode) == 0o700, "others can list the tickets")
    way = shlex.join(
        ["env", f"HOME={stage.home}", str(stage.tools.qtun), "to", "home", "-W"]) + " %h:%p"
    asked = subprocess.run(server.command(way, "echo", "there"), capture_output=True, timeout=20)
    require(asked.stdout == b"there\n", f"ssh: {asked.stderr.decode()}")
    data = pattern(43, 10_000_000)
    copied = subprocess.run(server.command(way, "cat"), input=data, capture_output=True, timeout=30)
    require(copied.stdout == data, f"ssh: {copied.stderr.decode()}")
    scp = shutil.which("scp")
    if scp is None:
        return
    options = [
        word if word != "-p" else "-P" for word in server.command(way) if not word.startswith("-F")]
    words = options[1:-1]
    words.remove("none")
    place = options[-1]
    (stage.temporary / "sent").write_bytes(data)
    for source, target in [
        (str(stage.temporary / "sent"), f"{place}:{stage.temporary}/there"),
        (f"{place}:{stage.temporary}/there", str(stage.temporary / "back")),
    ]:
        done = subprocess.run([scp, "-F", "none", *words, source, target], capture_output=True, timeout=30)
        require(done.returncode == 0, f"scp: {done.stderr.decode()}")
    require((stage.temporary / "back").read_bytes() == data, "scp changed bytes")


@GROUP.case("stdio")
def _stdio(stage: Stage) -> None:
    """-W to a service and to a destination: standard output is data, the status tells how it ended."""
    def answer(connection) -> None:
        connection.sendall(receive_to_end(connection)[::-1])

    service = stage.service(answer)
    closed = free_tcp_port()
    share = stage.share(
        f"back={service.port}", f"out=dynamic:127.0.0.1:{service.port},127.0.0.1:{closed}")
    sent = stage.temporary / "sent"
    sent.write_bytes(pattern(47, SIZE))
    for target in ["back", f"127.0.0.1:{service.port}"]:
        got = stage.temporary / "got"
        stage.run(
            "to", share.ticket, "-W", target, redirection=f"<{sent} >{got}", seconds=20)
        require(got.read_bytes() == sent.read_bytes()[::-1], f"{target}: other bytes")
    refused = stage.run("to", share.ticket, "-W", f"127.0.0.1:{closed}", status=7)
    require_text(refused.errors(), "nothing listens")
    denied = stage.run("to", share.ticket, "-W", "127.0.0.1:1", status=4)
    require_text(denied.errors(), "does not allow this destination", "fix: ")
    unknown = stage.run("to", share.ticket, "-W", "nothing", status=3)
    require_text(unknown.errors(), "the share has no service nothing")
    require(not (refused.output() or denied.output() or unknown.output()), "talk on stdout")


@GROUP.case("ten-ports", seconds=60)
def _ranges(stage: Stage) -> None:
    """A range of ten ports by share and connect, by -L, and by -R; each port leads to its own."""
    base = _free_range(10)
    for port in range(base, base + 10):
        stage.service(_stamped(port), port=port)
    # Out of one range: two could overlap.
    far = _free_range(20)
    near = far + 10
    share = stage.share(
        f"{base}-{base + 9}", f"out=dynamic:127.0.0.1:{base}-{base + 9}",
        "--allow-listen", f"{far}-{far + 9}")
    process = stage.start(
        "to", share.ticket, "-L", f"{near}-{near + 9}:127.0.0.1:{base}",
        "-R", f"{far}-{far + 9}:127.0.0.1:{base}-{base + 9}")
    _lines(process, 20)
    for first in [near, far]:
        _check_range(first, base)
    require(end(process, 15) == 0, "it did not drain")
    services = stage.start("connect", share.ticket, f"{near}-{near + 9}:{base}")
    _lines(services, 10)
    _check_range(near, base)
    require(end(services, 15) == 0, "connect did not drain")
    by_name = stage.start("to", share.ticket, "-L", f"{near}-{near + 9}:{base}")
    _lines(by_name, 10)
    _check_range(near, base)


def _stamped(port: int):
    """A service that sends its port, then what it is sent."""
    def serve(connection) -> None:
        sent = b""
        while piece := connection.recv(PIECE):
            sent += piece
        connection.sendall(str(port).encode() + b":" + sent)

    return serve


def _check_range(first: int, base: int) -> None:
    for offset in range(10):
        sent = pattern(offset, 100_000)
        with dial(first + offset) as client:
            client.sendall(sent)
            client.shutdown(1)
            answer = receive_to_end(client)
        require(answer == f"{base + offset}:".encode() + sent, f"port {first + offset} is another's")


def _free_range(count: int) -> int:
    """Ports in a row where nothing listens now, below those that the system hands out."""
    import socket
    for first in range(21_000 + free_tcp_port() % 1_000, 32_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


@GROUP.case("refusals", seconds=60)
def _refusals(stage: Stage) -> None:
    """Each says what is wrong and what to do, and has its exit status."""
    service = stage.service(echo)
    far = free_tcp_port()
    plain = stage.share(f"web={service.port}")
    open_one = stage.share(f"web={service.port}", "--allow-listen", str(far))

    def refused(share: Share | str, *words: str, status: int, texts: list[str]) -> None:
        ticket = share if isinstance(share, str) else share.ticket
        process = stage.run("to", ticket, *words, status=status)
        require_text(process.errors(), "fix: ", *texts)
        require(process.output() == "", f"talk on stdout: {process.output()}")

    wish = f"{far}:{service.port}"
    refused(plain, "-R", wish, status=4, texts=["does not listen at", "--allow-listen"])
    refused(open_one, "-R", f"1:{service.port}", status=4, texts=["does not allow this address"])
    refused(open_one, "-R", f"*:{wish}", status=4, texts=["does not allow this address"])
    refused(open_one, "-R", f"0:{service.port}", status=4, texts=["--allow-listen 127.0.0.1:*"])
    refused(plain, "-D", "0", status=3, texts=["lets nobody choose destinations"])
    refused(plain, "-L", "0:host:80", status=3, texts=["lets nobody choose destinations"])
    refused(plain, "-L", "0:wep", status=3, texts=["the share has no service wep"])
    refused(plain, "-L", f"{service.port}:web", status=6, texts=["another program holds this port"])
    refused("nobody", "-D", "0", status=3, texts=["qtun ticket save nobody TICKET"])
    refused(plain, "-L", "8080:/run/x.sock", status=2, texts=["qtun share NAME=unix:PATH"])
    require_line(open_one.process, "not listening for the peer.*--allow-listen")
    # A ticket for some services is for nothing else.
    limited = stage.run(
        "ticket", "make", "--share", "web", "--port", str(open_one.invitation.udp_port)).output()
    refused(limited.strip(), "-R", wish, status=4, texts=["not limited to some services"])
    # Another session has the address.
    first = stage.start("to", open_one.ticket, "-R", wish)
    _lines(first, 1)
    refused(open_one, "-R", wish, status=4, texts=["another program has the address"])
    book = stage.home / ".config" / "qtun" / "peers"
    book.mkdir(mode=0o700)
    (book / "exposed").write_text(plain.ticket)
    (book / "exposed").chmod(0o644)
    refused("exposed", "-D", "0", status=3, texts=["others can read", "chmod 600"])
    (book / "broken").write_text("nothing\n")
    (book / "broken").chmod(0o600)
    refused("broken", "-D", "0", status=3, texts=["broken"])


@GROUP.case("resets-through-reverse")
def _resets(stage: Stage) -> None:
    """A target that is not there resets the program at the far end, and other flows go on."""
    service = stage.service(echo)
    closed, far, farther = free_tcp_port(), free_tcp_port(), free_tcp_port()
    share = stage.share(service.port, "--allow-listen", f"{far},{farther}")
    process = stage.start(
        "to", share.ticket, "-R", f"{far}:127.0.0.1:{closed}",
        "-R", f"{farther}:127.0.0.1:{service.port}")
    _lines(process, 2)
    with dial(farther) as steady:
        steady.sendall(b"one")
        require(receive_exactly(steady, 3) == b"one", "no echo")
        with dial(far) as client:
            require(ending(client) == "RST", "the connection was not reset")
        require_line(process, "flow failed.*nothing listens")
        steady.sendall(b"two")
        require(receive_exactly(steady, 3) == b"two", "the other flow broke")
