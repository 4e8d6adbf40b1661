"""A peer with a valid ticket that misuses it (`qtun-flood`), and honest sessions beside it.

The short form runs with the others; `interop/flood` is the long one.
"""

import socket
import sys
import threading
import time

from cli.group import Group
from cli.sockets import dial, echo, receive_exactly
from cli.stage import Share, Stage, first_line
from harness.process import Process
from harness.suite import Failure, require

GROUP = Group("abuse")
FLOWS = 20_000
FRAMES = 40_000
SECONDS = 20
GROWTH_MAX = 96 << 20
# A session may have 1024 UDP flows, each with a socket.
DESCRIPTORS_MAX = 1024 + 64
# Between two questions of the honest program, in seconds.
INTERVAL = 0.01


class Beside:
    """An honest program that asks time and again while something else happens."""

    def __init__(self, port: int) -> None:
        self.worst = 0.0
        self.answers = 0
        # In seconds, of every answer.
        self.times: list[float] = []
        self.error: Exception | None = None
        self._is_over = threading.Event()
        self._client = dial(port)
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                started = time.monotonic()
                self._client.sendall(b"%016d" % self.answers)
                require(receive_exactly(self._client, 16) == b"%016d" % self.answers, "wrong bytes")
                self.times.append(time.monotonic() - started)
                self.worst = max(self.worst, self.times[-1])
                self.answers += 1
                time.sleep(INTERVAL)
        except Exception as error:
            self.error = error

    def finish(self) -> None:
        self._is_over.set()
        self._thread.join(30)
        if self.error:
            raise Failure(f"the session beside it broke: {self.error!r}")


class Watched:
    """The most memory and descriptors that a process had."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._was = process.resident_bytes
        self.grown = 0
        self.descriptors = 0

    def look(self) -> None:
        self.grown = max(self.grown, self._process.resident_bytes - self._was)
        self.descriptors = max(self.descriptors, self._process.descriptor_count)


def victim(stage: Stage, prefix: tuple = ()) -> tuple[Share, int]:
    """A share with the services that `qtun-flood` knows, and where an honest session opened one more.

    The attacked services are started with `prefix`.
    """
    targets = stage.workspace.start(
        "echoes", [*prefix, sys.executable, "-B", stage.tools.interop / "peers" / "echoes.py"])
    first_line(targets)
    ports = targets.facts()[0]
    share = stage.share(
        f"dns=udp:127.0.0.1:{ports['udp']}", "out=dynamic:127.0.0.0/8:*",
        f"web={ports['tcp']}", f"beside={stage.service(echo).port}")
    process = stage.start("connect", share.ticket, "beside=0")
    return share, int(first_line(process).rsplit(":", 1)[1])


def percentile(times: list[float], share: float = 0.99) -> float:
    """In milliseconds; 0 for no times.

    Of questions at a fixed rate: while one waits for its answer, those that would have been asked
    meanwhile wait as well, or a stop of half a second would be one answer among hundreds.
    """
    ordered = sorted(
        time - past * INTERVAL for time in times for past in range(1 + int(time / INTERVAL)))
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 1) if ordered else 0


def flood(
    stage: Stage, share: Share, port: int, attack: str, count: int, seconds: int,
    program: tuple = (), quiet_seconds: float = 0, options: tuple = (), prefix: tuple = (),
) -> dict:
    """Runs one attack beside an honest program; what was seen of both.

    `program` attacks instead of `qtun-flood`, started with `prefix`; the honest program is alone for
    `quiet_seconds` first.
    """
    beside, watched = Beside(port), Watched(share.process)
    time.sleep(quiet_seconds)
    before = len(beside.times)
    flooder = stage.workspace.start(
        "flood",
        [*prefix, *(program or [stage.tools.flood]), share.ticket, attack, count, seconds, *options])
    deadline = time.monotonic() + seconds + 30
    while flooder.is_running and time.monotonic() < deadline:
        watched.look()
        time.sleep(0.05)
    require(flooder.status == 0, f"the attacker's exit status is {flooder.status}")
    facts = flooder.facts()[0]
    # What it caused may still be under way.
    time.sleep(0.5)
    watched.look()
    beside.finish()
    facts |= {
        "grown_bytes": watched.grown, "descriptors": watched.descriptors,
        "beside_answers": beside.answers, "beside_worst_ms": round(beside.worst * 1000),
        "beside_p99_ms": percentile(beside.times[before:]),
        "quiet_p99_ms": percentile(beside.times[:before])}
    return facts


def _require_bounded(share: Share, facts: dict) -> None:
    require(share.process.is_running, "the share died")
    require(facts["grown_bytes"] < GROWTH_MAX, f"memory: {facts}")
    require(facts["descriptors"] < DESCRIPTORS_MAX, f"descriptors: {facts}")
    require(facts["beside_answers"] > 0, f"nothing was answered beside it: {facts}")


@GROUP.case("opens-and-resets", seconds=90, alone=True)
def _resets(stage: Stage) -> None:
    share, port = victim(stage)
    for attack in ["streams", "refused"]:
        facts = flood(stage, share, port, attack, FLOWS, SECONDS)
        # Not more than the limit, the burst, and what is granted each second.
        seconds = facts["milliseconds"] / 1000
        require(facts["open"] and facts["count"] <= 16384 + 1000 * (seconds + 2), f"{facts}")
        _require_bounded(share, facts)


@GROUP.case("datagram-flood", seconds=90, alone=True)
def _datagrams(stage: Stage) -> None:
    """To a UDP service and to targets of a dynamic one: new flows, endless fragments, noise."""
    share, port = victim(stage)
    facts = flood(stage, share, port, "datagrams", FRAMES, SECONDS)
    require(facts["open"] and facts["count"] - facts["unsent"] > FRAMES / 2, f"{facts}")
    _require_bounded(share, facts)
