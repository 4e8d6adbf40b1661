"""`qtun punch` and netpunch as it is, in every combination, through two Linux home routers.

    unshare -Urn python3 interop/lab/netpunch.py .build/debug/qtun [--long] [--rounds N]

Prints how long after the start of the second peer both had their hole open, and ends with 1 where a bar is
missed. Then it floods a control node and a waiting peer with forged, copied and senseless packets, and
counts what comes back with the packet filter. `--long` adds starts 10 s and 120 s apart, and what netpunch
alone does, for comparison.
"""

import argparse
import dataclasses
import os
import pathlib
import random
import re
import select
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from lab.internet import Internet, Node, Unavailable  # noqa: E402
from peers.netpunch import sign  # noqa: E402

EMULATOR = HERE.parent / "peers" / "netpunch.py"
SECRET = "lab"
SKEWS = [0.1, 0.6, 2.0]
LONG_SKEWS = [10.0, 120.0]
PORTS = {"qtun": 7777, "netpunch": 7778}
# Of a control node that nobody has registered with before the flood.
FLOOD_PORT = 7779
FLOOD_SECONDS = 3.0
FLOOD_RATE = 10_000


@dataclasses.dataclass(frozen=True)
class Row:
    """Who plays the three parts, and how soon both must be open; no bar where netpunch decides."""

    control: str
    first: str
    second: str
    bar: float | None


ROWS = [
    Row("qtun", "qtun", "qtun", 0.5),
    Row("qtun", "qtun", "netpunch", 1.0),
    Row("qtun", "netpunch", "qtun", 1.0),
    Row("qtun", "netpunch", "netpunch", 1.0),
    Row("netpunch", "qtun", "qtun", 1.1),
    Row("netpunch", "qtun", "netpunch", 1.1),
]
REFERENCE = Row("netpunch", "netpunch", "netpunch", None)


class Stage:
    """Two home networks, a server with both control nodes, and somebody who means harm."""

    def __init__(self, net: Internet, qtun: str) -> None:
        self.net, self._qtun = net, qtun
        self.server = net.public("server")
        self.attacker = net.public("attacker")
        self.waiting = net.public("waiting")
        self.homes = [net.host(net.router("D")), net.host(net.router("D"))]
        self.controls = {
            program: self.run(program, self.server, "-local", f":{port}")
            for program, port in PORTS.items()}
        self.flooded = self.run("qtun", self.server, "-local", f":{FLOOD_PORT}")
        self.controls["netpunch"].stdout.readline()
        wait_until(lambda: bound(self.server, PORTS["qtun"]) and bound(self.server, FLOOD_PORT))

    def run(self, program: str, node: Node, *words: str, log: bool = False) -> subprocess.Popen:
        command = (
            [self._qtun, "punch"] if program == "qtun" else [sys.executable, str(EMULATOR)])
        return self.net.start(
            node, [*command, "-secret", SECRET, *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if log else subprocess.DEVNULL, text=True)

    def peer(self, program: str, *arguments) -> subprocess.Popen:
        """Starts a peer and returns when it has begun: how long programs take to load is not the point."""
        process = self.run(program, *arguments, log=True)
        (process.stderr if program == "qtun" else process.stdout).readline()
        return process

    def punch(
        self, row: Row, skew: float, letters: str, port: int, control: int = 0,
    ) -> float | None:
        """Seconds from the second start until both are open; None if they never are."""
        remote = f"{self.server.addresses[0]}:{control or PORTS[row.control]}"
        peers, ends = [], [None, None]
        for index, program in enumerate((row.first, row.second)):
            if index:
                time.sleep(skew)
            peers.append(self.peer(
                program, self.homes[index], "-peer", letters[index], "-local", f":{port}",
                "-remote", remote))
            started = time.monotonic()

        def read(index: int) -> None:
            if peers[index].stdout.readline():
                ends[index] = time.monotonic()

        readers = [threading.Thread(target=read, args=(index,), daemon=True) for index in (0, 1)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0.0, started + 35 - time.monotonic()))
        for peer in peers:
            peer.kill()
        seconds = None if None in ends else max(ends) - started
        if row.bar is not None and (seconds is None or seconds > row.bar):
            for peer in peers:
                print(peer.stderr.read(), flush=True)
        return seconds


def wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("not in time")
        time.sleep(0.01)


def bound(node: Node, port: int) -> bool:
    return f":{port} " in node.run("ss", "-Hlun")


def resident_kib(process: subprocess.Popen) -> int:
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))


def table(stage: Stage, rows: list[Row], skews: list[float], rounds: int) -> int:
    """All combinations at all skews, staggered so that the machine is not the bottleneck."""
    results: dict[tuple[Row, float], list] = {}
    lock = threading.Lock()

    def one(row: Row, skew: float, letters: str, port: int) -> None:
        seconds = stage.punch(row, skew, letters, port)
        with lock:
            results.setdefault((row, skew), []).append(seconds)

    number = 0
    for _ in range(rounds):
        threads = []
        # Thirteen pairs of letters for each control node, so that one pair is never used twice at once.
        pairs = {program: 0 for program in PORTS}
        for row in rows:
            for skew in skews:
                pair = pairs[row.control] % 13
                pairs[row.control] += 1
                if pair == 0 and pairs[row.control] > 1:
                    for thread in threads:
                        thread.join()
                letters = chr(97 + 2 * pair) + chr(98 + 2 * pair)
                number += 1
                thread = threading.Thread(target=one, args=(row, skew, letters, 20000 + number))
                thread.start()
                threads.append(thread)
                time.sleep(0.3)
        for thread in threads:
            thread.join()
    print("seconds from the second start until both are open, the slowest of "
          f"{rounds} (and the median), through two Linux home routers:")
    print(f"{'control':<9} {'first':<9} {'second':<9} "
          + " ".join(f"{f'+{s} s':>12}" for s in skews) + f" {'bar':>5}")
    failed = 0
    for row in rows:
        cells, missed = [], False
        for skew in skews:
            times = sorted(results[row, skew], key=lambda s: s or 99)
            worst, median = times[-1], times[len(times) // 2]
            missed |= row.bar is not None and (worst is None or worst > row.bar)
            shown = " ".join("never" if s is None else f"{s:.2f}" for s in (worst, median))
            cells.append(f"{shown:>12}")
        failed += missed
        print(f"{row.control:<9} {row.first:<9} {row.second:<9} {' '.join(cells)} "
              f"{row.bar or '':>5}{'  FAIL' if missed else ''}", flush=True)
    return failed


class Flood:
    """Ten thousand packets a second at one place: senseless, with a wrong secret, copied."""

    def __init__(self, attacker: Node, place: tuple[str, int], copies: list[bytes]) -> None:
        generator = random.Random(4)
        self._packets = [
            b"", b"a", generator.randbytes(42), generator.randbytes(1200), b"x" * 41 + b" x",
            sign(b"wrong", b"a"), sign(b"wrong", b"i|a|192.0.2.1:9"), *copies]
        self._place = place
        with attacker.inside():
            self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]

    def run(self, seconds: float) -> int:
        """How many packets left."""
        start = time.monotonic()
        count = 0
        while (elapsed := time.monotonic() - start) < seconds:
            while count < elapsed * FLOOD_RATE:
                packet = self._packets[count % len(self._packets)]
                self._sockets[count % len(self._sockets)].sendto(packet, self._place)
                count += 1
            time.sleep(0.001)
        return count

    def answers(self) -> int:
        """How many packets came back."""
        return len(select.select(self._sockets, [], [], 0.1)[0])


def counted(node: Node, *expressions: str) -> None:
    """Begins to count what a node sends: one counter for each expression."""
    rules = "\n".join(f"    {expression} counter" for expression in expressions)
    node.run("nft", "-f", "-", stdin=f"""
table ip count {{
  chain output {{
    type filter hook output priority 0; policy accept;
{rules}
  }}
}}
""")


def counts(node: Node) -> list[int]:
    text = node.run("nft", "list", "table", "ip", "count")
    return [int(count) for count in re.findall(r"counter packets (\d+)", text)]


def flood_control(stage: Stage) -> str:
    """A pair meets while the control node is flooded; the flood draws nothing."""
    secret = SECRET.encode()
    attacker = stage.attacker.addresses[0]
    port = FLOOD_PORT
    place = (stage.server.addresses[0], port)
    control = stage.flooded
    # Whose letters are held: copies of their registrations come from the attacker.
    waiting = stage.run(
        "qtun", stage.waiting, "-peer", "m", "-local", ":5000", "-remote", f"{place[0]}:{port}")
    time.sleep(0.3)
    counted(stage.server, f"udp sport {port} ip daddr {attacker}", f"udp sport {port}")
    flood = Flood(stage.attacker, place, [sign(secret, b"m"), sign(secret, b"x")])
    flood.run(0.5)
    before = resident_kib(control)
    sender = threading.Thread(target=flood.run, args=(FLOOD_SECONDS,))
    sender.start()
    seconds = stage.punch(Row("qtun", "qtun", "qtun", 0.5), 0.6, "ab", 30000, port)
    sender.join()
    grown = resident_kib(control) - before
    to_attacker, total = counts(stage.server)
    stage.server.run("nft", "delete", "table", "ip", "count")
    waiting.kill()
    answered = flood.answers()
    require(
        to_attacker == 0 and answered == 0,
        f"the control node sent {to_attacker} packets to the attacker")
    require(seconds is not None and seconds < 1.0, f"a pair met after {seconds} s under the flood")
    require(grown < 512, f"the control node grew by {grown} KiB")
    return (f"0 packets to the attacker, {total} to peers; a pair met in {seconds:.2f} s; "
            f"memory {grown:+d} KiB")


def flood_peer(stage: Stage) -> str:
    """A peer waits while it is flooded, also with true messages; then its partner comes."""
    secret = SECRET.encode()
    remote = f"{stage.server.addresses[0]}:{FLOOD_PORT}"
    attacker = stage.attacker.addresses[0]
    peer = stage.run("qtun", stage.waiting, "-peer", "k", "-local", ":5001", "-remote", remote)
    time.sleep(1.0)
    counted(stage.waiting, f"ip daddr {attacker}", "udp sport 5001")
    told = f"i|l|{attacker}:9".encode()
    copies = [sign(secret, payload) for payload in (b"x", b"y", b"z", b"l", told)]
    flood = Flood(stage.attacker, (stage.waiting.addresses[0], 5001), copies)
    flood.run(0.5)
    before = resident_kib(peer)
    sent = flood.run(FLOOD_SECONDS)
    grown = resident_kib(peer) - before
    to_attacker, total = counts(stage.waiting)
    require(
        to_attacker == 0 and flood.answers() == 0,
        f"the peer sent {to_attacker} packets to the attacker")
    # One registration a second goes on, and nothing else.
    require(total <= 6, f"the peer sent {total} packets under the flood")
    require(peer.poll() is None, f"the peer ended with {peer.poll()}")
    require(grown < 512, f"the peer grew by {grown} KiB")
    partner = stage.peer(
        "netpunch", stage.homes[0], "-peer", "l", "-local", ":5002", "-remote", remote)
    started = time.monotonic()
    line = peer.stdout.readline()
    seconds = time.monotonic() - started
    partner.kill()
    stage.waiting.run("nft", "delete", "table", "ip", "count")
    require(line != "" and seconds < 1.0, f"afterwards its partner took {seconds:.2f} s: {line!r}")
    return (f"{sent} packets drew 0, {total} registrations went on, memory {grown:+d} KiB; "
            f"then its partner took {seconds:.2f} s")


class Failure(Exception):
    """A bar was missed."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Failure(text)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("qtun")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    rows = ROWS + [REFERENCE] * arguments.long
    skews = SKEWS + LONG_SKEWS * arguments.long
    try:
        with Internet() as net:
            stage = Stage(net, os.path.abspath(arguments.qtun))
            failed = table(stage, rows, skews, arguments.rounds)
            for name, case in (("control node", flood_control), ("waiting peer", flood_peer)):
                try:
                    print(f"ok    flood at a {name}: {case(stage)}", flush=True)
                except Failure as failure:
                    failed += 1
                    print(f"FAIL  flood at a {name}: {failure}", flush=True)
    except Unavailable as error:
        print(f"skip  netpunch  no network of our own here ({error})")
        print(f"0 passed, 0 failed, {len(rows) + 2} skipped")
        return 0
    print(f"{len(rows) + 2 - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
