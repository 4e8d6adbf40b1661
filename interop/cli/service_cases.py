"""Several services on one session, and Unix sockets at both ends."""

import json
import socket
import stat
import threading

from cli.group import Group
from cli.sockets import (
    PIECE, SECONDS_MAX, dial, echo, free_tcp_port, pattern, receive_exactly, receive_to_end)
from cli.stage import Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("services")


def _named(name: bytes):
    """A service that answers each piece with its own name in front."""
    def serve(connection: socket.socket) -> None:
        while piece := connection.recv(PIECE):
            connection.sendall(name + piece)

    return serve


def _addresses(process: Process, count: int) -> dict[str, str]:
    process.wait_for(lambda: process.output().count("\n") >= count, seconds=20)
    lines = process.output().splitlines()
    require(len(lines) == count, f"{count} lines expected: {lines}")
    return dict(line.split(" ", 1) for line in lines)


def _ask(address: str, expected: bytes) -> None:
    with dial(int(address.rsplit(":", 1)[1])) as client:
        client.sendall(b"?")
        answer = receive_exactly(client, len(expected))
    require(answer == expected, f"{address} answered {answer!r}")


@GROUP.case("several-by-name")
def _several(stage: Stage) -> None:
    one, two = stage.service(_named(b"one")), stage.service(_named(b"two"))
    share = stage.share(f"one={one.port}", f"two=127.0.0.1:{two.port}")
    everything = stage.start("connect", share.ticket, "one=0", "two=0", "--json")
    first_line(everything)
    everything.wait_for(lambda: everything.output().count("\n") == 2)
    lines = [json.loads(line) for line in everything.output().splitlines()]
    require([line["service"] for line in lines] == ["one", "two"], f"lines: {lines}")
    for line in lines:
        _ask(line["address"], line["service"].encode() + b"?")
    chosen = stage.connect(share.ticket, listen="two=0")
    _ask(chosen.address, b"two?")
    require(end(everything, 15) == 0, "connect did not drain")


@GROUP.case("all-at-their-ports")
def _everything(stage: Stage) -> None:
    """Without a choice each is at the port that it is shared from, so a busy one is an error."""
    one, two = stage.service(_named(b"one")), stage.service(_named(b"two"))
    share = stage.share(f"one={one.port}", f"two={two.port}")
    busy = stage.run("connect", share.ticket, status=6)
    require_text(
        busy.errors(), f"cannot listen on 127.0.0.1:{one.port}", "(for the service one)", "one=0")
    # The ports are free once nobody listens there.
    one.close()
    two.close()
    both = stage.start("connect", share.ticket)
    addresses = _addresses(both, 2)
    require(
        addresses == {"one": f"127.0.0.1:{one.port}", "two": f"127.0.0.1:{two.port}"},
        f"addresses: {addresses}")


@GROUP.case("default-beside-named")
def _default(stage: Stage) -> None:
    plain, web = stage.service(_named(b"plain")), stage.service(_named(b"web"))
    share = stage.share(plain.port, f"web={web.port}")
    process = stage.start("connect", share.ticket, "0", "web=0")
    addresses = _addresses(process, 2)
    _ask(addresses["-"], b"plain?")
    _ask(addresses["web"], b"web?")


@GROUP.case("unknown-name")
def _unknown(stage: Stage) -> None:
    service = stage.service(echo)
    share = stage.share(f"web={service.port}", f"db={service.port}")
    wrong = stage.run("connect", share.ticket, "wep=0", status=3)
    require_text(wrong.errors(), "the share has no service wep", "it has web, db", "fix: ")
    nameless = stage.run("connect", share.ticket, "0", status=3)
    require_text(nameless.errors(), "none without a name; it has web, db")


@GROUP.case("unix-sockets")
def _unix(stage: Stage) -> None:
    """One at each end; half-close and bytes as over TCP."""
    target, local = stage.temporary / "target.sock", stage.temporary / "local.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(target))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                # An empty connection is the share finding out whether the service is there.
                if data := receive_to_end(connection):
                    connection.sendall(data[::-1])

    threading.Thread(target=serve, daemon=True).start()
    share = stage.share(f"unix:{target}")
    process = stage.start("connect", share.ticket, f"unix:{local}")
    require(first_line(process) == f"unix:{local}", "another address")
    mode = stat.S_IMODE(local.stat().st_mode)
    require(mode == 0o600, f"the socket has mode {mode:o}")
    sent = pattern(11, 3_000_000)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS_MAX)
        client.connect(str(local))
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        require(receive_to_end(client) == sent[::-1], "the answer differs")
    require(end(process, 15) == 0, "connect did not drain")
    require(not local.exists(), "the socket file is left behind")
    listener.close()


@GROUP.case("unix-in-the-way")
def _in_the_way(stage: Stage) -> None:
    """A socket that answers and a file that is none stay; a stale socket is replaced."""
    share = stage.share(stage.service(echo).port)
    busy, stale, other = (stage.temporary / name for name in ["busy", "stale", "file"])
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as dead:
        listener.bind(str(busy))
        listener.listen()
        dead.bind(str(stale))
        dead.close()
        other.write_text("kept")
        failed = stage.run("connect", share.ticket, f"unix:{busy}", status=6)
        require_text(failed.errors(), "a program answers there", "fix: ")
        failed = stage.run("connect", share.ticket, f"unix:{other}", status=6)
        require_text(failed.errors(), "this file is no socket", "fix: ")
        require(busy.exists() and other.read_text() == "kept", "something was removed")
        process = stage.start("connect", share.ticket, f"unix:{stale}")
        require(first_line(process) == f"unix:{stale}", "another address")
        require(end(process, 15) == 0 and not stale.exists(), "the socket file is left behind")


@GROUP.case("unix-removed-on-failure")
def _removed_on_failure(stage: Stage) -> None:
    share = stage.share(f"a={free_tcp_port()}", f"b={free_tcp_port()}")
    local = stage.temporary / "a.sock"
    busy = stage.service(echo)
    stage.run("connect", share.ticket, f"a=unix:{local}", f"b={busy.port}", status=6)
    require(not local.exists(), "the socket file is left behind")


@GROUP.case("unix-target-missing")
def _target_missing(stage: Stage) -> None:
    share = stage.share(f"unix:{stage.temporary / 'nothing'}")
    require_line(share.process, "does not answer yet.*No such file")
