"""What is wrong, foreign or hostile: each ends in a clear sentence, or changes nothing."""

import contextlib
import json
import os
import pathlib
import random
import re
import socket
import threading
import time

from cli.group import Group
from cli.sockets import (
    PIECE, dial, echo, ending, free_tcp_port, pattern, receive_exactly, receive_to_end)
from cli.stage import Stage, end, require_text
from harness import gtls
from harness.suite import Skip, require

GROUP = Group("input")
MIB = 1 << 20
# Dialling gives up after the handshake's timeout of ten seconds; a machine may be busy.
UNREACHABLE_SECONDS = 15
GARBAGE_MEMORY_MAX = 8 * MIB
LOW_PORT = 443
# What the program promises to strangers, and a little for the clock.
ANSWERS_BURST = 250
ANSWERS_PER_SECOND = 1_050


@GROUP.case("wrong-ticket")
def _wrong_ticket(stage: Stage) -> None:
    """Each kind of damage is told apart, before anything is started."""
    good = stage.share(free_tcp_port()).ticket
    swapped = good[:30] + ("b" if good[30] == "a" else "a") + good[31:]
    for ticket, cause in [
        (good[:-1], "the end of the ticket is missing"),
        (good[:60], "the end of the ticket is missing"),
        (good[:-12], "the end of the ticket is missing"),
        ("qtun1", "the end of the ticket is missing"),
        (swapped, "the ticket's checksum does not match"),
        (good[:-1] + ("q" if good[-1] != "q" else "a"), "the ticket's checksum does not match"),
        (good[:40] + "0" + good[41:], "character that none has: 0 at position 41"),
        ("https://example.org/", "not a ticket"),
        ("", '"" is empty'),
        ("\x1b[2J" + good, "not a ticket"),
    ]:
        process = stage.start("connect", ticket, 0)
        status = process.wait(5)
        # What cannot even be meant as a ticket is an error of usage.
        expected = 3 if "qtun1" in ticket else 2
        require(status == expected, f"{ticket!r}: exit status {status}")
        require_text(process.errors(), cause, "fix: ")
        require(process.output() == "", f"{ticket!r}: stdout {process.output()!r}")
        require("\x1b" not in process.errors(), f"{ticket!r}: an escape sequence on stderr")
    facts = json.loads(stage.run("connect", swapped, "--json", status=3).errors())
    require(facts["exit_code"] == 3 and facts["exit_name"] == "configuration", f"facts: {facts}")


@GROUP.case("forgiven-ticket")
def _forgiven_ticket(stage: Stage) -> None:
    """Capital letters and white space around it, as mail programs make them, do no harm."""
    service = stage.service(echo)
    share = stage.share(service.port)
    connect = stage.connect(f"  {share.ticket.upper()}\n")
    with dial(connect.port) as client:
        client.sendall(b"x")
        receive_exactly(client, 1)


@GROUP.case("hidden-ticket")
def _hidden_ticket(stage: Stage) -> None:
    """Other users of the machine do not find a ticket among the running programs' words."""
    share = stage.share(free_tcp_port())
    process = stage.connect(share.ticket).process
    words = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    require("connect" in words, f"not the command line of qtun: {words!r}")
    require(share.ticket not in words, "the ticket stands in the command line")


@GROUP.case("other-identity")
def _other_identity(stage: Stage) -> None:
    """Somebody else answers at the ticket's address: own exit status, both fingerprints."""
    service = stage.service(echo)
    expected = stage.share(service.port, "--identity", stage.home / "expected").invitation
    impostor = stage.share(service.port, "--identity", stage.home / "impostor")
    ticket = expected.at(impostor.invitation.udp_port).text
    process = stage.run("connect", ticket, 0, status=8, seconds=5)
    require_text(
        process.errors(), f"expected: {expected.fingerprint}",
        f"presented: {impostor.invitation.fingerprint}", "fix: ")
    require(process.output() == "", f"stdout: {process.output()!r}")
    facts = json.loads(stage.run("connect", ticket, 0, "--json", status=8).errors())
    fields = [facts["fields"]["expected"], facts["fields"]["presented"]]
    require(
        fields == [expected.fingerprint, impostor.invitation.fingerprint], f"facts: {facts}")
    _require_serves(stage, impostor.ticket)


@GROUP.case("wrong-capability")
def _wrong_capability(stage: Stage) -> None:
    """The right share, but not the right to use it."""
    service = stage.service(echo)
    share = stage.share(service.port)
    capability = bytearray(share.invitation.capability)
    for changed in [0, 15]:
        forged = bytes(
            byte ^ (1 if index == changed else 0) for index, byte in enumerate(capability))
        ticket = share.invitation.replacing(capability=forged).text
        process = stage.run("connect", ticket, 0, status=4, seconds=5)
        require_text(process.errors(), "the peer does not let us in", "fix: ")
        require(process.output() == "", f"stdout: {process.output()!r}")
    require_text(share.process.errors(), "warning  peer not let in")
    _require_serves(stage, share.ticket)


@GROUP.case("key-file")
def _key_file(stage: Stage) -> None:
    """A key that others can read, that is none, or that cannot be read."""
    path = stage.home / "key"
    stage.run("keygen", "--out", path)
    good = path.read_bytes()
    for mode in [0o644, 0o640, 0o604]:
        path.chmod(mode)
        process = stage.run("share", 1, "--identity", path, status=3)
        require_text(process.errors(), f"mode 0{mode:o}", f"chmod 600 {path}",
                     f"qtun keygen --force --out {path}")
    for content in [b"", b"hello\n", good[:60], good.replace(b"PRIVATE", b"PUBLIC"), b"x" * MIB]:
        path.write_bytes(content)
        path.chmod(0o600)
        process = stage.run("share", 1, "--identity", path, status=3)
        require_text(process.errors(), f"{path} holds no Ed25519 private key", "fix: ")
        require(path.read_bytes() == content, "a file that holds no key was overwritten")
    process = stage.run("share", 1, "--identity", stage.home, status=3)
    require_text(process.errors(), str(stage.home), "fix: ")
    pipe = stage.home / "pipe"
    os.mkfifo(pipe, 0o600)
    stage.run("share", 1, "--identity", pipe, status=3, seconds=5)


@GROUP.case("port-in-use")
def _port_in_use(stage: Stage) -> None:
    with contextlib.ExitStack() as holders:
        held = holders.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        process = stage.run("share", 1, "--listen", address, status=6)
        require_text(process.errors(), f"cannot listen on {address}", "another program", "fix: ")
        require(process.output() == "", f"a ticket for a share that failed: {process.output()!r}")
        service = stage.service(echo)
        share = stage.share(service.port)
        # By default the address of the service itself is asked for, which is here as well.
        for words in [[share.ticket], [share.ticket, service.port]]:
            process = stage.run("connect", *words, status=6)
            require_text(
                process.errors(), f"cannot listen on 127.0.0.1:{service.port}", "fix: ")
            require(process.output() == "", f"stdout: {process.output()!r}")
        foreign = stage.run("connect", share.ticket, "192.0.2.1:8080", status=6)
        require_text(foreign.errors(), "this machine has no such address", "fix: ")


@GROUP.case("low-port")
def _low_port(stage: Stage) -> None:
    """A port that needs a permission, without that permission."""
    start = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if start <= LOW_PORT:
        raise Skip(f"here every user may listen on ports from {start} up")
    wrapper = ()
    if os.geteuid() == 0:
        # The superuser without this one capability, since nobody may not even read our folders.
        wrapper = (
            stage.tools.program("setpriv"), "--bounding-set=-net_bind_service",
            "--inh-caps=-net_bind_service", "--")
    share = stage.share(free_tcp_port())
    for words in [
        ["share", 1, "--listen", f"127.0.0.1:{LOW_PORT}"], ["connect", share.ticket, LOW_PORT],
    ]:
        process = stage.run(*words, status=6, wrapper=wrapper)
        require_text(
            process.errors(), f"cannot listen on 127.0.0.1:{LOW_PORT}", "under 1024",
            "CAP_NET_BIND_SERVICE", "fix: ")


@GROUP.case("nobody-there", seconds=40)
def _nobody_there(stage: Stage) -> None:
    """An address that says nothing, and one where nothing listens."""
    invitation = stage.share(free_tcp_port()).invitation
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        waiting = stage.start("connect", invitation.at(silent.getsockname()[1]).text, 0)
        address = f"127.0.0.1:{gtls.free_port()}"
        closed = stage.start("connect", invitation.at(int(address[10:])).text, 0)
        started = time.monotonic()
        for process in [closed, waiting]:
            status = process.wait(UNREACHABLE_SECONDS)
            seconds = time.monotonic() - started
            require(status == 5, f"connect ended with {status} after {seconds:.1f} s")
            require_text(process.errors(), "no answer from the peer at 127.0.0.1:", "fix: ")
            require(process.output() == "", f"stdout: {process.output()!r}")
        require_text(closed.errors(), address)


@GROUP.case("unknown-target")
def _unknown_target(stage: Stage) -> None:
    """A name that means nothing is found out before the ticket is handed over."""
    process = stage.run("share", "no-such-host.invalid:80", status=3, seconds=25)
    require_text(process.errors(), "cannot find the host no-such-host.invalid", "fix: ")
    require(process.output() == "", f"stdout: {process.output()!r}")


@GROUP.case("garbage", seconds=60)
def _garbage(stage: Stage) -> None:
    """Datagrams that are no QUIC get no answer, cost no memory, and harm no transfer."""
    sent = pattern(20, 40_000_000)

    def serve(connection: socket.socket) -> None:
        receive_exactly(connection, 1)
        for start in range(0, len(sent), PIECE):
            connection.sendall(sent[start:start + PIECE])

    tunnel = stage.tunnel(serve)
    process = tunnel.share.process
    # The first transfer fills the pools. How full they are when one ends varies by some megabytes, while
    # garbage that costs memory does so each time.
    growths = []
    for is_attacked in [False, True, True]:
        before = process.resident_bytes
        stop = threading.Event()
        counts: list[int] = []
        attack = threading.Thread(
            target=_spray, args=[tunnel.share.invitation.udp_port, stop, counts], daemon=True)
        with dial(tunnel.port) as client:
            client.sendall(b"?")
            if is_attacked:
                attack.start()
                time.sleep(0.5)
            received = receive_to_end(client)
        stop.set()
        tunnel.service.outcome()
        require(received == sent, f"{len(received)} bytes of {len(sent)} arrived, or others")
        if not is_attacked:
            continue
        attack.join(5)
        require(len(counts) == 2, "the attack did not end as it should")
        require(counts[0] > 1000, f"only {counts[0]} datagrams were sent")
        require(counts[1] == 0, f"{counts[1]} answers to {counts[0]} datagrams of garbage")
        growths.append(process.resident_bytes - before)
    require(
        min(growths) < GARBAGE_MEMORY_MAX, f"the garbage costs {min(growths) // 1024} KiB each time")
    require(process.is_running, f"the share died, exit status {process.status}")
    require("panic" not in process.errors().lower(), "the share panicked")


def _spray(port: int, stop: threading.Event, counts: list[int]) -> None:
    """Sends garbage of every size; leaves how many were sent and how many were answered."""
    generator = random.Random(21)
    sent = answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.connect(("127.0.0.1", port))
        attacker.setblocking(False)
        deadline = time.monotonic() + 20
        while not (stop.is_set() and sent > 1000) and time.monotonic() < deadline:
            for datagram in _garbage_datagrams(generator):
                with contextlib.suppress(BlockingIOError):
                    attacker.send(datagram)
                    sent += 1
            answered += len(_answers(attacker))
        time.sleep(0.3)
        answered += len(_answers(attacker))
    counts.extend([sent, answered])


def _garbage_datagrams(generator: random.Random) -> list[bytes]:
    # Without the fixed bit a datagram is not QUIC (RFC 9000 §17.2), and with it a long header of
    # an unknown version calls for an answer only from 1200 bytes up (§6.1).
    not_quic = [bytes([generator.randrange(0x40)]) + generator.randbytes(size) for size in [
        0, 1, 7, 19, 40, 1199, 1471, 8000, 65506]]
    short_header = [bytes([0x40 | generator.randrange(0x40)]) + generator.randbytes(size)
                    for size in [0, 1, 8, 20, 39]]
    long_header = [bytes([0xC0 | generator.randrange(0x40)]) + generator.randbytes(size)
                   for size in [0, 4, 5, 6, 25, 300, 1000]]
    version_1 = [b"\xc3\x00\x00\x00\x01" + generator.randbytes(size) for size in [
        0, 1, 40, 1190, 1400, 65000]]
    return [b"", *not_quic, *short_header, *long_header, *version_1]


def _answers(stranger: socket.socket) -> list[int]:
    """The sizes of the datagrams that have arrived."""
    sizes = []
    while True:
        try:
            sizes.append(len(stranger.recv(65536, socket.MSG_DONTWAIT)))
        except (BlockingIOError, ConnectionRefusedError):
            return sizes


@GROUP.case("answers-never-amplify")
def _amplification(stage: Stage) -> None:
    """What QUIC answers to strangers is smaller than what it answers, and limited in rate."""
    service = stage.service(echo)
    share = stage.share(service.port)
    generator = random.Random(22)
    unknown_version = b"\xc0\x0a\x0a\x0a\x0a\x08" + bytes(8) + b"\x08" + bytes(8)
    # Version negotiation (RFC 9000 §6.1) and stateless reset (§10.3).
    for start, size in [(unknown_version, 1200), (b"\x40", 200), (b"\x40", 43)]:
        answers: list[int] = []
        started = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(("127.0.0.1", share.invitation.udp_port))
            for _ in range(60):
                for _ in range(50):
                    stranger.send(start + generator.randbytes(size - len(start)))
                time.sleep(0.002)
                answers += _answers(stranger)
            time.sleep(0.3)
            answers += _answers(stranger)
        allowed = ANSWERS_BURST + ANSWERS_PER_SECOND * (time.monotonic() - started)
        require(0 < len(answers) <= allowed, f"{len(answers)} answers, {allowed:.0f} are allowed")
        require(max(answers) < size, f"{max(answers)} bytes answer {size}")
    _require_serves(stage, share.ticket)


@GROUP.case("other-protocol")
def _other_protocol(stage: Stage) -> None:
    """A QUIC client that asks for HTTP/3 gets nowhere, and the share lives."""
    service = stage.service(echo)
    share = stage.share(service.port)
    client = stage.workspace.start("gtlsclient", [
        stage.tools.program("gtlsclient"), *gtls.QUIET, "--exit-on-all-streams-close",
        "127.0.0.1", share.invitation.udp_port, "https://localhost/",
    ])
    status = client.wait(15)
    require(status is not None, "gtlsclient still waits for an answer")
    log = client.output() + client.errors()
    require(
        re.search(r"CONNECTION_CLOSE.*(0x178|CRYPTO_ERROR|no_application_protocol)", log)
        is not None, f"gtlsclient was not told why:\n{log[-2000:]}")
    require("HTTP stream 0 headers" not in log, "gtlsclient got an answer")
    _require_serves(stage, share.ticket)


@GROUP.case("http-at-tcp-port")
def _cut_off_header(stage: Stage) -> None:
    """Connections that come and go without a word leave nothing behind."""
    tunnel = stage.tunnel(echo)
    for _ in range(50):
        dial(tunnel.port).close()
    with dial(tunnel.port) as client:
        client.shutdown(socket.SHUT_WR)
        require(ending(client) == "FIN", "an empty flow is not answered by an empty one")
    _require_serves(stage, tunnel.share.ticket)


def _require_serves(stage: Stage, ticket: str) -> None:
    """Requires that the share works for who comes now."""
    connect = stage.connect(ticket)
    with dial(connect.port) as client:
        client.sendall(b"still there?")
        client.shutdown(socket.SHUT_WR)
        require(receive_to_end(client) == b"still there?", "the share no longer serves")
    require(end(connect.process, 15) == 0, "connect does not end well")
