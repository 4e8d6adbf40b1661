"""Ten thousand senseless, forged or copied packets a second, at a peer and at a relay.

Copies are of packets that the victim has received before, caught on its own interface. What the victim
sends meanwhile is counted by the packet filter of its machine.
"""

import pathlib
import random
import re
import socket
import subprocess
import sys
import time

from lab.internet import Node
from meetings.pair import Pair
from meetings.programs import Program
from meetings.rebinding import stream
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

RATE = 10_000
FLOODER = pathlib.Path(__file__).with_name("flooder.py")
ETH_P_IP = 0x0800
# Of both floods together.
GROWTH_MAX_KIB = 1024
# By so many packets may the time of the flood differ from an equal time without one: the flood fills
# buffers, and what the session loses there is asked for again.
IDLE_PACKETS_MAX = 60
# A session that was busy probes its path for some seconds more.
SETTLE = 4.0
GAP_MAX = 0.5


class Catch:
    """All that a node receives at a UDP port, from now on."""

    def __init__(self, node: Node) -> None:
        with node.inside():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setblocking(False)

    def packets(self, port: int) -> list[bytes]:
        """Each different payload once."""
        found: dict[bytes, None] = {}
        with self._socket:
            while True:
                try:
                    packet = self._socket.recv(1 << 16)
                except BlockingIOError:
                    return list(found)
                start = (packet[0] & 15) * 4
                if packet[9] == socket.IPPROTO_UDP and packet[start + 2:start + 4] == port.to_bytes(2, "big"):
                    found[packet[start + 8:]] = None


class Count:
    """Packets and bytes that a node sends from a UDP port: to somebody, and at all."""

    def __init__(self, node: Node, port: int, somebody: str) -> None:
        self._node = node
        node.run("nft", "-f", "-", stdin=f"""
table ip count {{
  chain output {{
    type filter hook output priority 0; policy accept;
    ip daddr {somebody} counter
    udp sport {port} counter
  }}
}}
""")

    def read(self) -> list[tuple[int, int]]:
        text = self._node.run("nft", "list", "table", "ip", "count")
        return [
            (int(packets), int(size))
            for packets, size in re.findall(r"counter packets (\d+) bytes (\d+)", text)]


def variants(copies: list[bytes], seed: int) -> list[bytes]:
    """Copies as they are, with one bit wrong, and cut short."""
    chance = random.Random(seed)
    found = list(copies)
    for packet in copies:
        if packet:
            # The first bytes say what it is.
            at = chance.randrange(min(2, len(packet) - 1), len(packet))
            bit = 1 << chance.randrange(8)
            found.append(packet[:at] + bytes([packet[at] ^ bit]) + packet[at + 1:])
            found.append(packet[:chance.randrange(len(packet))])
    return found


def is_question(packet: bytes) -> bool:
    """A STUN request, which relays answer to anybody (RFC 8489)."""
    return packet[:2] == b"\x00\x01"


def of_quic(packet: bytes) -> bool:
    return bool(packet) and packet[0] & 0xc0 != 0


def senseless(seed: int) -> list[bytes]:
    """Random bytes of many lengths that begin like messages of ours, of STUN, or of nobody."""
    chance = random.Random(seed)
    packets = [b"", b"\x2a", b"\x2b", b"\x00"]
    for size in (1, 11, 19, 27, 40, 63, 100, 300, 1200, 1471):
        for first in (0x00, 0x01, 0x2A, 0x2B, 0x3F):
            packet = bytes([first]) + chance.randbytes(size)
            packets += [] if is_question(packet) else [packet]
    return packets


class Attack:
    """Somebody who has caught what a victim received, and the victim."""

    def __init__(
        self, stage: Stage, attacker: Node, victim: Node, program: Program, port: int,
    ) -> None:
        self._stage, self._attacker, self._victim, self._port = stage, attacker, victim, port
        self._program = program
        self.count = Count(victim, port, attacker.addresses[0])

    def start(self, packets: list[bytes], seconds: float, source: tuple[str, int] | None = None):
        path = pathlib.Path(self._stage.folder) / "packets"
        path.write_text("\n".join(packet.hex() for packet in packets))
        words = [
            sys.executable, "-B", FLOODER, path, self._victim.addresses[0], self._port, RATE, seconds,
            *(source or ())]
        process = self._stage.net.start(
            self._attacker, words, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def finish(self, process: subprocess.Popen) -> int:
        """How many were sent."""
        line = process.communicate(timeout=60)[0]
        if process.returncode != 0:
            raise OSError("the flooder broke")
        return int(line.split()[0])

    def memory(self) -> int:
        status = pathlib.Path(f"/proc/{self._program.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


def flood(attack: Attack, pair: Pair, caught: list[bytes], seconds: float, what: str) -> Result:
    """The floods, and what came of them."""
    own = [packet for packet in caught if not of_quic(packet) and not is_question(packet)]
    quic = [packet for packet in caught if of_quic(packet)]
    packets = variants(own, 1) + senseless(2)
    problems, sent = [], 0
    # Once, so that lazily made memory is there.
    attack.finish(attack.start(packets, 0.5))
    before = attack.memory()
    # What the session says to the relay and the peer when nothing happens.
    time.sleep(SETTLE)
    start = attack.count.read()[1][0]
    time.sleep(2 * seconds)
    idle = attack.count.read()[1][0] - start
    sent += attack.finish(attack.start(packets, seconds))
    # And as if from the address that the session uses. A relay moves what comes from there.
    disguised = [packet for packet in packets if packet[:1] != b"\x2b"]
    sent += attack.finish(attack.start(disguised, seconds, pair.remote))
    answers, total = (packets for packets, _ in attack.count.read())
    said = total - start - 2 * idle
    if answers:
        problems.append(f"{answers} packets went to the attacker")
    if said > IDLE_PACKETS_MAX:
        problems.append(f"{said} packets more than the {idle} of the same time without a flood")
    with pair.connect() as client:
        process = attack.start(packets, 2.5)
        usual, gap = stream(client, lambda: None)
        attack.finish(process)
        if gap > GAP_MAX:
            problems.append(f"the session waited {gap:.2f} s")
    reset = quic_answers(attack, quic, seconds, problems)
    grown = attack.memory() - before
    if grown > GROWTH_MAX_KIB:
        problems.append(f"memory grew by {grown} KiB")
    if pair.judge().answered is False:
        problems.append("the session is gone")
    return Result(
        what, "no packet for any", "FAIL" if problems else "ok",
        f"{sent} packets drew {answers}; longest wait of the session {gap * 1000:.0f} ms, memory "
        f"{grown:+d} KiB; {reset}", detail="\n".join([*problems, pair.log]))


def quic_answers(attack: Attack, quic: list[bytes], seconds: float, problems: list[str]) -> str:
    """Packets that look like QUIC may be answered by its rules: less than came, and not each."""
    chance = random.Random(3)
    packets = variants(quic, 4) + [
        bytes([first]) + chance.randbytes(size)
        for first in (0x40, 0x5f, 0xc0, 0xff) for size in (20, 100, 1199, 1400)]
    before = attack.count.read()[0]
    sent = attack.finish(attack.start(packets, seconds))
    size = sum(len(packet) for packet in packets) * sent // len(packets)
    answers, bytes_out = (now - then for now, then in zip(attack.count.read()[0], before))
    if bytes_out * 3 > size or answers * 10 > sent:
        problems.append(f"{answers} answers to packets like QUIC's, {bytes_out} bytes for {size}")
    return f"{sent} packets like QUIC's drew {answers} answers by QUIC's rules"


def peer(qtun: str, task: Task) -> Result:
    """A share with a public address, and a session with it."""
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        victim, attacker = stage.net.public("victim"), stage.net.public("attacker")
        link = stage.net.host(stage.net.router("D"))
        return _meet(stage, task, Pair(stage, 0, victim, link), victim, attacker, None)


def relay(qtun: str, task: Task) -> Result:
    """A relay that moves a session's packets, since the NATs allow nothing else."""
    with Stage(qtun, task.round_trip) as stage:
        program = stage.serve()
        attacker = stage.net.public("attacker")
        _, share, link = stage.homes("FF")
        return _meet(stage, task, Pair(stage, 0, share, link), stage.relay, attacker, program)


def _meet(
    stage: Stage, task: Task, pair: Pair, victim: Node, attacker: Node, program: Program | None,
) -> Result:
    catch = Catch(victim)
    try:
        pair.start(is_later=False)
        pair.start(is_later=True)
        pair.wait(PATIENCE, expects_relay=program is not None)
        run = pair.judge()
        if not run.answered:
            raise OSError(f"no session: {run.log}")
        where = "a relay" if program else "a peer"
        port = 3478 if program else pair.port
        caught = catch.packets(port)
        attack = Attack(stage, attacker, victim, program or pair.share, port)
        return flood(
            attack, pair, caught, 10.0 if task.is_timed else 2.0,
            f"{RATE} senseless, forged, copied packets a second at {where}")
    finally:
        pair.end()
