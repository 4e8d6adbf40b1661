"""UDP services: real UDP programs at both ends of a tunnel."""

import ipaddress
import json
import random
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

from cli.group import Group
from cli.sockets import SECONDS_MAX, free_tcp_port
from cli.stage import Share, Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import Failure, require

GROUP = Group("datagrams")
LARGEST = 65507
GROWTH_MAX = 24 << 20


class DatagramService:
    """A UDP service on loopback that answers each datagram."""

    def __init__(self, answer: Callable[[bytes], bytes], host: str = "127.0.0.1") -> None:
        self._answer = answer
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port = self._socket.getsockname()[1]
        # Whoever wrote to it, each once.
        self.peers: set = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, address = self._socket.recvfrom(1 << 16)
            self.peers.add(address)
            self._socket.sendto(self._answer(data), address)


def _program(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A UDP socket that hears this address alone."""
    program = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    program.settimeout(SECONDS_MAX)
    program.connect((host, port))
    return program


def _opened(process: Process) -> int:
    """The port of the one UDP address that a `qtun connect` printed."""
    line = first_line(process)
    found = re.fullmatch(r"udp:127\.0\.0\.1:(\d+)", line)
    if not found:
        raise Failure(f"'{line}' is no UDP address on loopback")
    return int(found.group(1))

ATTEMPTS = 8


def _tunnel(
    stage: Stage, service: DatagramService, *options: str
) -> tuple[Share, Process, int]:
    share = stage.share(f"udp:127.0.0.1:{service.port}", *options)
    connect = stage.start("connect", share.ticket, 0, *options)
    return share, connect, _opened(connect)


def _ask(program: socket.socket, data: bytes) -> bytes:
    """Asks until there is an answer, as a program over UDP has to: on a busy machine the fragments of
    a large datagram may be late, and late ones are dropped."""
    program.settimeout(2)
    for _ in range(ATTEMPTS):
        program.send(data)
        try:
            # An answer of another length is to an earlier question.
            while len(answer := program.recv(1 << 16)) != len(data):
                pass
            return answer
        except TimeoutError:
            continue
    raise Failure(f"no answer to {len(data)} bytes in {ATTEMPTS} attempts")


@GROUP.case("every-size")
def _sizes(stage: Stage) -> None:
    service = DatagramService(lambda data: data[::-1])
    _, _, port = _tunnel(stage, service)
    program = _program(port)
    for size in [0, 1, 1200, 1500, 9000, LARGEST]:
        data = random.Random(size).randbytes(size)
        require(_ask(program, data) == data[::-1], f"{size} bytes came back wrong")
    require(len(service.peers) == 1, f"one program became {len(service.peers)} flows")


@GROUP.case("programs-are-flows")
def _flows(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    _, _, port = _tunnel(stage, service)
    programs = [_program(port) for _ in range(50)]
    for number, program in enumerate(programs):
        program.send(b"%d" % number)
    for number, program in enumerate(programs):
        require(program.recv(100) == b"%d" % number, "a program heard another's answer")
    require(len(service.peers) == 50, f"50 programs became {len(service.peers)} flows")


@GROUP.case("answers-from-where-they-were-asked")
def _source(stage: Stage) -> None:
    """Of several addresses of this machine, the answer leaves from the one that was written to."""
    service = DatagramService(lambda data: data)
    share = stage.share(f"udp:{service.port}")
    process = stage.start("connect", share.ticket, "0.0.0.0:0")
    port = int(first_line(process).rsplit(":", 1)[1])
    for host in ["127.0.0.1", "127.0.0.2", "127.1.2.3"]:
        # A connected socket hears no other address.
        require(_ask(_program(port, host), b"?") == b"?", f"no answer from {host}")


@GROUP.case("mixed-with-tcp")
def _mixed(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    stream_port = free_tcp_port()
    share = stage.share(f"web={stream_port}", f"dns=udp:127.0.0.1:{service.port}")
    process = stage.start("connect", share.ticket, "web=0", "dns=udp:127.0.0.1:0", "--json")
    process.wait_for(lambda: process.output().count("\n") == 2, seconds=20)
    lines = [json.loads(line) for line in process.output().splitlines()]
    require([line["protocol"] for line in lines] == ["tcp", "udp"], f"lines: {lines}")
    require(lines[1]["address"].startswith("udp:127.0.0.1:"), f"lines: {lines}")
    program = _program(int(lines[1]["address"].rsplit(":", 1)[1]))
    require(_ask(program, b"?") == b"?", "no answer")
    require(end(process, 15) == 0, "connect did not drain")
    summary = json.loads(process.output().splitlines()[-1])
    counts = [summary[name] for name in
              ["udp_flows", "datagrams_sent", "datagrams_received", "datagrams_dropped"]]
    require(counts == [1, 1, 1, 0], f"summary: {summary}")


@GROUP.case("same-port-number")
def _same_port(stage: Stage) -> None:
    """Without a choice the service is opened at its own port number, so a busy one is an error."""
    service = DatagramService(lambda data: data)
    share = stage.share(f"udp:127.0.0.1:{service.port}")
    busy = stage.run("connect", share.ticket, status=6)
    require_text(busy.errors(), f"cannot listen on 127.0.0.1:{service.port}", "another program")


@GROUP.case("wrong-kind")
def _wrong_kind(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    share = stage.share(f"dns=udp:{service.port}", f"web={free_tcp_port()}")
    unix = stage.run("connect", share.ticket, f"dns=unix:{stage.temporary / 'a'}", status=3)
    require_text(unix.errors(), "the service dns speaks UDP", "fix: ")
    udp = stage.run("connect", share.ticket, "web=udp:0", status=3)
    require_text(udp.errors(), "the service web is none of UDP", "fix: ")


@GROUP.case("idle-flow-ends")
def _idle(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    share, connect, port = _tunnel(stage, service, "--udp-timeout", "1s", "-v")
    program = _program(port)
    require(_ask(program, b"1") == b"1", "no answer")
    for process in [share.process, connect]:
        require_line(process, "udp flow ended.*idle", seconds=10)
    require(_ask(program, b"2") == b"2", "no answer from a second flow")


@GROUP.case("target-refuses")
def _refused(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    share = stage.share(f"udp:127.0.0.1:{port}", "--udp-timeout", "1s")
    connect = stage.start("connect", share.ticket, 0)
    _program(_opened(connect)).send(b"?")
    require_line(share.process, "udp flow refused.*nothing listens", seconds=10)


def answer_dns(question: bytes) -> bytes:
    """An authoritative answer: one address made of the name (RFC 1035 §4)."""
    end_of_name = question.index(b"\0", 12)
    labels = question[13:13 + question[12]]
    end_of_question = end_of_name + 5
    header = question[:2] + struct.pack(">5H", 0x8580, 1, 1, 0, 0)
    address = ipaddress.IPv4Address("192.0.2.0") + len(labels)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + address.packed
    return header + question[12:end_of_question] + record


@GROUP.case("dig")
def _dig(stage: Stage) -> None:
    program = stage.tools.program("dig")
    _, _, port = _tunnel(stage, DatagramService(answer_dns))
    for name, answer in [("seven77.example", "192.0.2.7"), ("abc.example", "192.0.2.3")]:
        done = subprocess.run(
            [program, "+short", "+tries=1", "+time=5", "-p", str(port), "@127.0.0.1", name, "A"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=20)
        require(done.stdout.strip() == answer, f"dig says {done.stdout!r} {done.stderr!r}")


@GROUP.case("iperf3", seconds=60, alone=True)
def _iperf(stage: Stage) -> None:
    """Both ways, at a rate that a debug build on a busy machine keeps up with."""
    program = stage.tools.program("iperf3")
    port = free_tcp_port()
    stage.workspace.start("iperf3-server", [program, "-s", "-p", port])
    share = stage.share(f"control=127.0.0.1:{port}", f"data=udp:127.0.0.1:{port}")
    local = free_tcp_port()
    process = stage.start("connect", share.ticket, f"control={local}", f"data={local}")
    process.wait_for(lambda: process.output().count("\n") == 2, seconds=20)
    for direction in [[], ["--reverse"]]:
        total = _iperf_total(
            [program, "-c", "127.0.0.1", "-p", str(local), "-u", "-b", "10M", "-l", "1200", "-t",
             "2", "-J", *direction])
        lost, sent = total["lost_packets"], total["packets"]
        require(sent > 1500 and lost * 20 < sent, f"{lost} of {sent} lost {direction}")


def _iperf_total(command: list[str]) -> dict:
    """What iperf3 counted. Its server is busy with the last test for a moment longer than its client."""
    for _ in range(20):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=25)
        said = json.loads(done.stdout)
        if "busy" not in said.get("error", ""):
            break
        time.sleep(0.2)
    total = said.get("end", {}).get("sum")
    require(total is not None, f"iperf3 says {done.stdout[-300:]}")
    return total


@GROUP.case("flood", seconds=60, alone=True)
def _flood(stage: Stage) -> None:
    """Local programs that send more than passes, from more addresses than there may be flows."""
    service = DatagramService(lambda data: data)
    share, connect, port = _tunnel(stage, service)
    honest = _program(port)
    require(_ask(honest, b"before") == b"before", "no answer")
    before = [process.resident_bytes for process in [share.process, connect]]
    deadline = time.monotonic() + 6
    piece = random.Random(1).randbytes(60000)
    while time.monotonic() < deadline:
        flooders = [_program(port) for _ in range(200)]
        for flooder in flooders:
            for size in [0, 1, 1200, 60000]:
                flooder.send(piece[:size])
        for flooder in flooders:
            flooder.close()
    grown = [process.resident_bytes - was
             for process, was in zip([share.process, connect], before)]
    require(max(grown) < GROWTH_MAX, f"memory grew by {grown} bytes")
    honest.settimeout(1)
    for attempt in range(20):
        honest.send(b"after %d" % attempt)
        try:
            require(honest.recv(100).startswith((b"before", b"after")), "a wrong answer")
            break
        except TimeoutError:
            continue
    else:
        raise Failure("no answer after the flood")
    # A flow each, and no descriptor beyond that.
    count = share.process.descriptor_count
    require(count < 1024 + 40, f"the share has {count} descriptors")
