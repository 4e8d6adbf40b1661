"""How runs begin, go on and end: signals, vanished peers, what is left behind and what is told."""

import base64
import contextlib
import os
import re
import signal
import socket
import threading
import time

from cli.group import Group
from cli.sockets import (
    dial, echo, ending, free_tcp_port, pattern, receive_exactly, receive_to_end)
from cli.stage import Connect, Stage, Tunnel, end, require_line, require_text
from harness import gtls
from harness.process import Process
from harness.suite import require

GROUP = Group("life")
MIB = 1 << 20
IDLE = ["--idle-timeout", "3s"]
FLOWS_FOR_LEAKS = 500
SMALL_BUFFER = 4096
# Timers and sockets of the run itself that come and go.
DESCRIPTORS_SPARE = 4


@GROUP.case("drain-share")
def _drain_share(stage: Stage) -> None:
    """A signal lets open flows finish and takes no new ones, on both sides of the tunnel."""
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
        tunnel = stage.tunnel(echo)
        with _open_flow(tunnel) as client:
            tunnel.share.process.send(number)
            require_line(tunnel.share.process, f"stopping  signal={number.name}")
            require_line(tunnel.connect.process, "peer is stopping")
            require(not _works(tunnel.port), "a new flow opens while the share drains")
            _finish_flow(client)
        _require_end(tunnel.share.process, 0)
        require_text(tunnel.share.process.errors(), "done: ", "sent ", "received ")
        require(tunnel.connect.process.wait(2) == 5, "connect does not end with the share")


@GROUP.case("drain-connect")
def _drain_connect(stage: Stage) -> None:
    """The same at the other end, where new connections are refused at once."""
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
        tunnel = stage.tunnel(echo)
        with _open_flow(tunnel) as client:
            tunnel.connect.process.send(number)
            require_line(tunnel.connect.process, f"stopping  signal={number.name}")
            tunnel.connect.process.wait_for(lambda: _is_refused(tunnel.port), seconds=1)
            require(_is_refused(tunnel.port), "a new connection is taken while connect drains")
            _finish_flow(client)
        _require_end(tunnel.connect.process, 0)
        require_text(tunnel.connect.process.errors(), "done: 1 flow, sent ", "received ", "rtt ")
        require_line(tunnel.share.process, "session ended")
        require(tunnel.share.process.is_running, "the share ends with its peer")


@GROUP.case("drain-delivers")
def _drain_delivers(stage: Stage) -> None:
    """What stands in the tunnel when a side drains still reaches a program that reads later."""
    data = pattern(30, 3 * MIB)
    proceed = threading.Event()

    def answer(connection: socket.socket) -> None:
        receive_to_end(connection)
        connection.sendall(data)

    def collect(connection: socket.socket) -> bytes:
        connection.sendall(b"ready")
        connection.shutdown(socket.SHUT_WR)
        proceed.wait(10)
        return receive_to_end(connection)

    for draining in [["share"], ["connect"], ["share", "connect"]]:
        tunnel = stage.tunnel(answer)
        with dial(tunnel.port, receive_buffer=SMALL_BUFFER) as client:
            client.sendall(b"?")
            client.shutdown(socket.SHUT_WR)
            tunnel.service.outcome()
            processes = _drain(tunnel, draining)
            received = receive_to_end(client)
        require(received == data, f"{len(received)} bytes come down while {draining} drain")
        for process in processes:
            _require_end(process, 0)
        proceed.clear()
        tunnel = stage.tunnel(collect, receive_buffer=SMALL_BUFFER)
        with dial(tunnel.port) as client:
            client.sendall(data)
            require(receive_to_end(client) == b"ready", "the flow does not open")
        processes = _drain(tunnel, draining)
        proceed.set()
        received = tunnel.service.outcome()
        require(received == data, f"{len(received)} bytes come up while {draining} drain")
        for process in processes:
            _require_end(process, 0)


def _drain(tunnel: Tunnel, names: list[str]) -> list[Process]:
    """Asks sides of a tunnel to stop, and gives them time to do so too early."""
    processes = [getattr(tunnel, name).process for name in names]
    for process in processes:
        process.send(signal.SIGTERM)
        require_line(process, "stopping  signal=")
    time.sleep(0.5)
    return processes


@GROUP.case("drain-without-peer")
def _drain_without_peer(stage: Stage) -> None:
    """A peer that died without a word does not hold up the end."""
    for killed, draining in [("share", "connect"), ("connect", "share")]:
        tunnel = stage.tunnel(echo)
        getattr(tunnel, killed).process.kill()
        _require_end(getattr(tunnel, draining).process, 0, seconds=4, number=signal.SIGTERM)


@GROUP.case("second-signal")
def _second_signal(stage: Stage) -> None:
    """It ends the run at once, with 128 plus its number."""
    for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]:
        tunnel = stage.tunnel(echo)
        with _open_flow(tunnel):
            for process in [tunnel.share.process, tunnel.connect.process]:
                process.send(number)
                require_line(process, "stopping  signal=")
                process.send(number)
                _require_end(process, status, seconds=1)


@GROUP.case("signal-while-dialling")
def _signal_while_dialling(stage: Stage) -> None:
    """One signal is enough to stop a connect that has not reached its peer yet."""
    invitation = stage.share(free_tcp_port()).invitation
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(5)
        connect = stage.start("connect", invitation.at(silent.getsockname()[1]).text, 0)
        silent.recv(65536)
        _require_end(connect, 0, seconds=2, number=signal.SIGINT)
        require(connect.output() == "", f"stdout: {connect.output()!r}")


@GROUP.case("share-ends")
def _share_ends(stage: Stage) -> None:
    """Connect notices within a second, says so, and resets the flows that it has open."""
    tunnel = stage.tunnel(echo)
    with _open_flow(tunnel) as client:
        tunnel.share.process.send(signal.SIGTERM)
        require_line(tunnel.share.process, "stopping  signal=")
        tunnel.share.process.send(signal.SIGTERM)
        _require_end(tunnel.share.process, 143)
        client.close()
    tunnel = stage.tunnel(echo)
    _require_end(tunnel.share.process, 0, number=signal.SIGTERM)
    status = tunnel.connect.process.wait(1)
    require(status == 5, f"a second after the share, connect has the status {status}")
    require_text(
        tunnel.connect.process.errors(), "the peer ended the session: the sharing side stopped",
        "fix: ")


@GROUP.case("share-killed")
def _share_killed(stage: Stage) -> None:
    """A share that dies without a word is missed after the idle timeout, and flows are reset."""
    tunnel = stage.tunnel(echo, *IDLE)
    with _open_flow(tunnel) as client:
        tunnel.share.process.kill()
        require(ending(client) == "RST", "an open flow does not end by reset")
    status = tunnel.connect.process.wait(5)
    require(status == 5, f"connect ended with {status}")
    require_text(tunnel.connect.process.errors(), "the session was lost", "fix: ")


@GROUP.case("share-restarted")
def _share_restarted(stage: Stage) -> None:
    """A share that died and came back tells the old session that it knows nothing of it."""
    service = stage.service(echo)
    port = gtls.free_port()
    share = stage.share(service.port, port=port)
    connect = stage.connect(share.ticket, "--no-reconnect")
    share.process.kill()
    again = stage.share(service.port, port=port)
    require(again.ticket == share.ticket, "the ticket changed with the restart")
    # A local program makes connect speak; the answer is a stateless reset.
    with contextlib.suppress(OSError), dial(connect.port) as client:
        client.sendall(b"x")
        receive_to_end(client)
    status = connect.process.wait(3)
    require(status == 5, f"connect ended with {status}")
    require_text(connect.process.errors(), "the sharing side was started again", "fix: connect again")
    tunnel = Tunnel(service, again, stage.connect(share.ticket))
    require(_works(tunnel.port), "the old ticket does not open the new share")


@GROUP.case("connect-killed")
def _connect_killed(stage: Stage) -> None:
    """The share misses a peer that died, resets its flows at the service, and serves the next."""
    seen: list[str] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(receive_exactly(connection, 1))
        seen.append(ending(connection))

    tunnel = stage.tunnel(serve, *IDLE)
    before = tunnel.share.process.descriptor_count
    with _open_flow(tunnel):
        tunnel.connect.process.kill()
    require_line(tunnel.share.process, "session ended", seconds=6)
    tunnel.service.outcome(2)
    require(seen == ["RST"], f"the service sees {seen}")
    after = tunnel.share.process.descriptor_count
    require(after <= before, f"the share holds {after} descriptors instead of {before}")
    _open_flow(stage.connect(tunnel.share.ticket)).close()


@GROUP.case("descriptor-leak", seconds=60)
def _descriptor_leak(stage: Stage) -> None:
    """Flows of every kind of ending give their descriptors back."""
    def serve(connection: socket.socket) -> None:
        if connection.recv(1) == b"e":
            connection.sendall(b"e")
            receive_to_end(connection)

    tunnel = stage.tunnel(serve)
    _run_flows(tunnel, 10)
    processes = [tunnel.share.process, tunnel.connect.process]
    before = [process.descriptor_count for process in processes]
    _run_flows(tunnel, FLOWS_FOR_LEAKS)
    for process, old in zip(processes, before):
        process.wait_for(lambda: process.descriptor_count <= old + DESCRIPTORS_SPARE, seconds=3)
        new = process.descriptor_count
        require(
            new <= old + DESCRIPTORS_SPARE,
            f"{process.name}: {old} descriptors, and {new} after {FLOWS_FOR_LEAKS} flows")


@GROUP.case("no-litter")
def _no_litter(stage: Stage) -> None:
    """Nothing but the key file is left behind, wherever programs leave things."""
    folder = stage.workspace.path / "folder"
    folder.mkdir()
    outside = set(os.listdir("/tmp"))
    tunnel = stage.tunnel(echo)
    require(_works(tunnel.port), "the tunnel does not work")
    for process in [tunnel.connect.process, tunnel.share.process]:
        _require_end(process, 0, number=signal.SIGTERM)
    require(os.listdir(stage.temporary) == [], f"left over: {os.listdir(stage.temporary)}")
    files = [path for path in stage.home.rglob("*") if not path.is_dir()]
    require(files == [stage.identity], f"left over: {files}")
    litter = [name for name in set(os.listdir("/tmp")) - outside if name.startswith("qtun.")]
    require(not litter, f"left over in /tmp: {litter}")


@GROUP.case("secrets-stay-secret")
def _secrets(stage: Stage) -> None:
    """Neither the capability nor the key is in what is said, however much is said."""
    service = stage.service(echo)
    for options in [["-vv"], ["-vv", "--log-format", "json"]]:
        share = stage.share(service.port, *options)
        connect = stage.connect(share.ticket, *options)
        require(_works(connect.port), "the tunnel does not work")
        forged = share.invitation.replacing(capability=bytes(16)).text
        refused = stage.run("connect", forged, 0, *options, status=4)
        for process in [connect.process, share.process]:
            _require_end(process, 0, number=signal.SIGTERM)
        key = base64.b64decode("".join(stage.identity.read_text().splitlines()[1:-1]))
        secrets = [share.ticket, forged]
        for secret in [share.invitation.capability, key[-32:]]:
            secrets += [
                secret.hex(), base64.b64encode(secret).decode().rstrip("="),
                base64.b32encode(secret).decode().rstrip("=").lower(), str(list(secret)),
            ]
        for process in [share.process, connect.process, refused]:
            # The line that is meant to be pasted is the ticket's one place, and is no log line.
            said = process.errors().replace(f"\n  qtun connect {share.ticket}\n", "\n")
            require(len(said) > 0, f"{process.name} says nothing at -vv")
            found = [secret for secret in secrets if secret.lower() in said.lower()]
            require(not found, f"{process.name} tells {found}")


@GROUP.case("key-log")
def _key_log(stage: Stage) -> None:
    """SSLKEYLOGFILE alone does nothing; with the flag the secrets go there."""
    service = stage.service(echo)
    path = stage.workspace.path / "secrets"
    environment = {"SSLKEYLOGFILE": str(path)}
    share = stage.share(service.port, environment=environment)
    connect = stage.connect(share.ticket, environment=environment)
    require(_works(connect.port), "the tunnel does not work")
    for process in [connect.process, share.process]:
        _require_end(process, 0, number=signal.SIGTERM)
    require(not path.exists(), "secrets were written without being asked for")
    share = stage.share(service.port)
    connect = stage.connect(share.ticket, "--insecure-keylog", environment=environment)
    require(_works(connect.port), "the tunnel does not work")
    require(path.exists(), "--insecure-keylog writes nothing")
    for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]:
        require(
            re.search(rf"^{label} [0-9a-f]{{64}} [0-9a-f]{{64,}}$", path.read_text(), re.MULTILINE)
            is not None, f"{label} is missing in:\n{path.read_text()}")
    missing = stage.run("share", 1, "--insecure-keylog", status=2)
    require_text(missing.errors(), "SSLKEYLOGFILE is not set")


@GROUP.case("closed-descriptors")
def _closed_descriptors(stage: Stage) -> None:
    """Standard descriptors that are closed at the start are not mistaken for something else."""
    service = stage.service(echo)
    port = gtls.free_port()
    ticket = stage.share(service.port, port=port)
    _require_end(ticket.process, 0, number=signal.SIGTERM)
    listen = free_tcp_port()
    for redirection in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]:
        share = stage.start(
            "share", service.port, "-vv", "--listen", f"127.0.0.1:{port}", redirection=redirection)
        share.wait_for(lambda: gtls.is_bound(port), seconds=5)
        connect = stage.start(
            "connect", ticket.ticket, listen, "-vv", redirection=redirection)
        connect.wait_for(lambda: _is_listening(listen), seconds=5)
        for process in [share, connect]:
            require(process.is_running, f"{process.name} {redirection} ends: {process.status}")
        for _ in range(3):
            require(_works(listen), f"the tunnel with {redirection} does not work")
        for process in [connect, share]:
            _require_end(process, 0, number=signal.SIGTERM)


@GROUP.case("readers-leave")
def _readers_leave(stage: Stage) -> None:
    """Whoever read standard output and standard error may go; the tunnel stays."""
    service = stage.service(echo)
    share = stage.share(service.port)
    fifo = stage.workspace.path / "fifo"
    listen = free_tcp_port()
    for redirection in [f"> {fifo}", f"2> {fifo}"]:
        os.mkfifo(fifo)
        connect = stage.start("connect", share.ticket, listen, "-vv", redirection=redirection)
        with fifo.open("rb") as reader:
            require(reader.readline() != b"", f"nothing comes out of {redirection}")
        fifo.unlink()
        connect.wait_for(lambda: _is_listening(listen), seconds=5)
        for _ in range(3):
            require(_works(listen), f"the tunnel does not work after {redirection}")
        _require_end(connect, 0, number=signal.SIGTERM)


@GROUP.case("same-ticket")
def _same_ticket(stage: Stage) -> None:
    """A fixed port keeps the ticket over a restart; another service or key changes it."""
    target, port = free_tcp_port(), gtls.free_port()

    def ticket(target: int, *options: object) -> str:
        share = stage.share(target, *options, port=port)
        _require_end(share.process, 0, number=signal.SIGTERM)
        return share.ticket

    first = ticket(target)
    require(ticket(target) == first, "the ticket changed")
    others = {ticket(free_tcp_port()), ticket(target, "--identity", stage.home / "other"), first}
    require(len(others) == 3, "another service or another key has the same ticket")


@GROUP.case("ticket-sources")
def _ticket_sources(stage: Stage) -> None:
    """Standard input and QTUN_TICKET keep the ticket out of the list of processes."""
    service = stage.service(echo)
    share = stage.share(service.port)
    path = stage.workspace.path / "ticket"
    for content in [f"{share.ticket}\n", share.ticket, f"\r\n  {share.ticket} \r\nmore\n"]:
        path.write_bytes(content.encode())
        connect = stage.connect("-", redirection=f"< {path}")
        require(_works(connect.port), f"the tunnel does not work with {content!r}")
    environment = {"QTUN_TICKET": share.ticket}
    connect = stage.start("connect", environment=environment)
    require(connect.wait(5) == 6, "connect without words does not use QTUN_TICKET's port")
    require_text(connect.errors(), f"127.0.0.1:{service.port}")
    for content in ["", "\n\n"]:
        path.write_text(content)
        stage.run("connect", "-", 0, status=3, redirection=f"< {path}")
    require_text(stage.run("connect", status=2).errors(), "QTUN_TICKET")
    stage.run("connect", status=3, environment={"QTUN_TICKET": "qtun1wrong"})


@GROUP.case("quiet")
def _quiet(stage: Stage) -> None:
    """-q leaves standard error to warnings; -v adds a line for each flow."""
    service = stage.service(echo)
    stage.run("keygen")
    share = stage.share(service.port, "-q")
    connect = stage.connect(share.ticket, "-v")
    require(_works(connect.port), "the tunnel does not work")
    for process in [connect.process, share.process]:
        _require_end(process, 0, number=signal.SIGTERM)
    require(share.process.errors() == "", f"said with -q: {share.process.errors()}")
    require_text(connect.process.errors(), "flow opened", "flow ended", "done: 1 flow")


# Flows


def _open_flow(opened: Tunnel | Connect) -> socket.socket:
    """A flow that has carried a byte to an echoing service and back."""
    client = dial(opened.port)
    client.sendall(b"o")
    require(receive_exactly(client, 1) == b"o", "the flow does not open")
    return client


def _finish_flow(client: socket.socket) -> None:
    """Requires that an open flow to an echoing service still works to its end."""
    rest = pattern(31, 200_000)
    sender = threading.Thread(target=client.sendall, args=[rest], daemon=True)
    sender.start()
    require(receive_exactly(client, len(rest)) == rest, "the open flow does not go on")
    sender.join()
    client.shutdown(socket.SHUT_WR)
    require(receive_to_end(client) == b"", "the open flow ends with too many bytes")


def _works(port: int) -> bool:
    """Whether a new flow to an echoing service carries bytes both ways."""
    try:
        with dial(port) as client:
            client.sendall(b"works")
            client.shutdown(socket.SHUT_WR)
            return receive_to_end(client) == b"works"
    except OSError:
        # Also ENOTCONN: the reset may be here before the last call.
        return False


def _is_refused(port: int) -> bool:
    """Whether nothing takes connections at this port."""
    try:
        dial(port).close()
    except ConnectionRefusedError:
        return True
    return False


def _run_flows(tunnel: Tunnel, count: int) -> None:
    for number in range(count):
        # By turns: finished by both, closed by the service, reset by the client.
        with dial(tunnel.port) as client:
            if number % 3 == 1:
                client.sendall(b"x" * 100)
                ending(client)
                continue
            client.sendall(b"e")
            receive_exactly(client, 1)
            if number % 3 == 2:
                client.sendall(b"unread")
                client.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


# Processes


def _require_end(
    process: Process, status: int, seconds: float = 5, number: signal.Signals | None = None
) -> None:
    """Requires that a process ends in time with this status, after a signal if one is given."""
    if number is not None:
        process.send(number)
    ended = process.wait(seconds)
    require(ended == status, f"{process.name} ends with {ended} instead of {status}")


def _is_listening(port: int) -> bool:
    """Whether somebody listens on this TCP port of 127.0.0.1, without a connection to it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
