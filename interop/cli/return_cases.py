"""Sessions that come back, what `qtun status` says of them, and the library's example."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time

from cli.group import Group
from cli.sockets import dial, echo, receive_exactly, receive_to_end
from cli.stage import Stage, require_line, require_text
from harness import gtls
from harness.suite import require

GROUP = Group("return")
# A probe every 15 s would find out by itself; a program that connects makes it quick.
BACK_MAX = 5.0


@GROUP.case("share-back")
def _share_back(stage: Stage) -> None:
    """A share that is killed and started again is found again; the listener stays open."""
    service = stage.service(echo)
    port = gtls.free_port()
    share = stage.share(service.port, port=port)
    connect = stage.connect(share.ticket)
    _require_echo(connect.port)
    share.process.kill()
    again = stage.share(service.port, port=port)
    started = time.monotonic()
    while not _echoes(connect.port):
        require(time.monotonic() - started < BACK_MAX, "no connection works after the restart")
    require_line(connect.process, "session ended .*the peer restarted")
    require_line(connect.process, "trying again until the peer answers")
    # The peer has not said so yet that it is there again: its own line comes first.
    require_line(again.process, "connected")
    require(connect.process.is_running, "connect ended")
    require(len(connect.process.output().splitlines()) == 1, "the address is printed again")


@GROUP.case("share-away")
def _share_away(stage: Stage) -> None:
    """A connection that comes while there is no share waits for it."""
    service = stage.service(echo)
    port = gtls.free_port()
    share = stage.share(service.port, port=port)
    connect = stage.connect(share.ticket)
    share.process.send(signal.SIGTERM)
    require(share.process.wait(5) == 0, "the share does not end")
    require_line(connect.process, "trying again until the peer answers")
    with dial(connect.port) as client:
        client.sendall(b"early")
        stage.share(service.port, port=port)
        client.settimeout(10)
        require(receive_exactly(client, 5) == b"early", "what was sent early does not arrive")


@GROUP.case("retry-first")
def _retry_first(stage: Stage) -> None:
    """The first attempt fails at once unless --retry is given; then it waits for the share."""
    service = stage.service(echo)
    port = gtls.free_port()
    share = stage.share(service.port, port=port)
    share.process.send(signal.SIGTERM)
    require(share.process.wait(5) == 0, "the share does not end")
    connect = stage.start("connect", share.ticket, 0, "--retry", "forever")
    require_line(connect, "trying again until the peer answers", seconds=15)
    stage.share(service.port, port=port)
    require(connect.wait_for(lambda: "\n" in connect.output(), seconds=25), "it does not connect")
    forged = share.invitation.replacing(capability=bytes(16)).text
    refused = stage.run("connect", forged, 0, "--retry", "forever", status=4)
    require_text(refused.errors(), "fix: ")
    wrong = stage.run("connect", share.ticket, "--retry", "3", "--no-reconnect", status=2)
    require_text(wrong.errors(), "contradict")


@GROUP.case("status")
def _status(stage: Stage) -> None:
    """Both sides tell how they are doing, to people and to programs, and leave no socket behind."""
    service = stage.service(echo)
    share = stage.share(f"web=127.0.0.1:{service.port}")
    connect = stage.connect(share.ticket)
    with dial(connect.port) as client:
        client.sendall(b"12345")
        receive_exactly(client, 5)
        answers = _ask(stage)
        require([answer["role"] for answer in answers] == ["share", "connect"], f"{answers}")
        for answer, process in zip(answers, [share.process, connect.process]):
            require(answer["process"] == process.pid, f"another process: {answer}")
            session = answer["sessions"][0]
            require(session["carrier"] == "udp" and session["obstacle"] is None, f"{session}")
            require(session["silence_us"] is None and session["last_proven_us"] >= 0, f"{session}")
            flow = session["flows"][0]
            require(
                (flow["service"], flow["bytes_sent"], flow["bytes_received"]) == ("web", 5, 5),
                f"{flow}")
            sent = session["carriers"]["udp"]["bytes_sent"]
            require(sent > 0, f"{session}")
        require(answers[0]["services"] == [
            {"name": "web", "target": f"127.0.0.1:{service.port}"}], f"{answers[0]}")
        require(answers[1]["services"][0]["address"] == connect.address, f"{answers[1]}")
        text = stage.run("status").output()
        require_text(text, "share  process ", "connect  process ", "direct udp 127.0.0.1:", "flow 4  web")
    folder = stage.home / ".local" / "state" / "qtun"
    require(stat.S_IMODE(folder.stat().st_mode) == 0o700, "others can enter the folder")
    for path in folder.iterdir():
        require(stat.S_IMODE(path.stat().st_mode) == 0o600, f"others can use {path}")
    connect.process.send(signal.SIGTERM)
    require(connect.process.wait(5) == 0, "connect does not end")
    share.process.kill()
    require(len(_sockets(stage)) == 1, f"{_sockets(stage)}")
    require(_ask(stage) == [], "a dead share answers")
    require(_sockets(stage) == [], f"a dead socket stays: {_sockets(stage)}")


@GROUP.case("status-hostile")
def _status_hostile(stage: Stage) -> None:
    """Readers that stall, talk nonsense or never end do not hold the tunnel or each other up."""
    service = stage.service(echo)
    share = stage.share(service.port)
    connect = stage.connect(share.ticket)
    path = str(_sockets(stage)[0])
    silent = []
    for request in [b"", b"{", b"x" * 5000, b"\xff\n", b"[[[[\n", b'{"command":"none"}\n'] * 3:
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        try:
            client.sendall(request)
        except OSError:
            pass
        silent.append(client)
        _require_echo(connect.port)
    # Those that said nothing hold their places for two seconds at most.
    deadline = time.monotonic() + 5
    while len(_ask(stage)) != 2:
        require(time.monotonic() < deadline, "status does not come back")
    for client in silent:
        client.close()


@GROUP.case("reader-leaves")
def _reader_leaves(stage: Stage) -> None:
    """A reader of standard output that has seen enough is no failure."""
    for words in [["help"], ["version"], ["help", "connect"], ["version", "--json"]]:
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run(
            [stage.tools.qtun, *words], stdout=writing, stderr=subprocess.PIPE, timeout=10,
            check=False)
        os.close(writing)
        require(result.returncode == 0, f"{words}: {result.returncode} {result.stderr}")
    service = stage.service(echo)
    environment = {"HOME": str(stage.home), "PATH": os.environ["PATH"]}
    share = subprocess.Popen(
        [stage.tools.qtun, "share", str(service.port), "--json"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment)
    try:
        require(json.loads(share.stdout.readline())["event"] == "ticket", "no ticket")
        share.stdout.close()
        share.send_signal(signal.SIGTERM)
        require(share.wait(10) == 0, f"the share ended with {share.returncode}")
    finally:
        share.kill()


@GROUP.case("example")
def _example(stage: Stage) -> None:
    """The library's example shares a port and connects to it, in under sixty lines."""
    source = (stage.tools.interop / "Example" / "Example.swift").read_text()
    require(len(source.splitlines()) < 60, "the example has grown")
    service = stage.service(echo)
    with subprocess.Popen(
        # What it prints goes to a pipe, and is wanted line by line.
        ["stdbuf", "-oL", stage.tools.example, str(service.port)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={"HOME": str(stage.home), "PATH": os.environ["PATH"]},
    ) as example:
        try:
            lines = [example.stdout.readline(), example.stdout.readline()]
            found = re.fullmatch(r"web is at 127\.0\.0\.1:(\d+)\n", lines[1])
            require(lines[0] == "connected over udp\n" and found is not None, f"{lines}")
            _require_echo(int(found.group(1)))
            rest, _ = example.communicate("\n", timeout=10)
            require(rest == "1 connections, 5 bytes came back\n", f"{rest!r}")
            require(example.returncode == 0, f"the example ended with {example.returncode}")
        finally:
            example.kill()


def _ask(stage: Stage) -> list[dict]:
    output = stage.run("status", "--json").output()
    return [json.loads(line) for line in output.splitlines()]


def _sockets(stage: Stage) -> list:
    return sorted((stage.home / ".local" / "state" / "qtun").iterdir())


def _require_echo(port: int) -> None:
    require(_echoes(port), "the tunnel does not work")


def _echoes(port: int) -> bool:
    try:
        with dial(port) as client:
            client.settimeout(5)
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            return receive_to_end(client) == b"hello"
    except OSError:
        return False
