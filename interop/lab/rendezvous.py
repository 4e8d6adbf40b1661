"""Share and connect through Linux home routers, brought together by a relay: 40 ms of round trip.

    unshare -Urn python3 interop/lab/rendezvous.py .build/debug/qtun [--runs N] [--routers DD]

Prints how long after the start of the later side its direct path stood and its service was open, sends
bytes through it, and ends with 1 where a bar is missed. The tickets have no addresses.
"""

import argparse
import dataclasses
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.bad_link import Unavailable as NoLink  # noqa: E402
from lab.distance import DistantInternet  # noqa: E402
from lab.internet import Node, Router, Unavailable  # noqa: E402

ROUND_TRIP = 0.040
SKEWS = [0.1, 2.0]
# From the start of the later process until its service is open.
BAR = 0.5
PATIENCE = 20.0


@dataclasses.dataclass
class Run:
    """One meeting: when the service was open, and what came back through it."""

    opened: float | None
    answered: bool
    log: str


class Lines:
    """The lines that a process writes, with the time of each."""

    def __init__(self, stream) -> None:
        self._lines: list[tuple[float, str]] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream) -> None:
        for line in stream:
            with self._news:
                self._lines.append((time.monotonic(), line.rstrip("\n")))
                self._news.notify_all()

    def wait(self, part: str, patience: float) -> tuple[float, str] | None:
        """The first line that has `part` in it."""
        deadline = time.monotonic() + patience
        with self._news:
            while True:
                for entry in self._lines:
                    if part in entry[1]:
                        return entry
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    return None

    @property
    def text(self) -> str:
        with self._news:
            return "\n".join(line for _, line in self._lines)


class Meeting:
    """A relay, and a share and a link behind two routers."""

    def __init__(self, qtun: str, net: DistantInternet, routers: tuple[str, str]) -> None:
        self._qtun, self._net = qtun, net
        self._folder = tempfile.TemporaryDirectory()
        relay = net.public("relay")
        self._routers: list[Router] = [net.router(letter) for letter in routers]
        self._share, self._link = (net.host(router) for router in self._routers)
        process, lines, _ = self._start(relay, "relay", "relay", "--open", "--name", relay.addresses[0])
        named = lines.wait("@", 10)
        if not named:
            raise RuntimeError("the relay does not start")
        self._relay = named[1]
        with self._share.inside():
            self._target = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._target.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._target.accept()
            except OSError:
                return
            with connection:
                connection.sendall(connection.recv(100)[::-1])

    def _start(self, node: Node, key: str, *words: str) -> tuple[subprocess.Popen, Lines, Lines]:
        process = self._net.start(
            node, [self._qtun, *words, "--identity", f"{self._folder.name}/{key}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, Lines(process.stdout), Lines(process.stderr)

    def run(self, skew: float) -> Run:
        port = self._target.getsockname()[1]
        share, tickets, share_log = self._start(
            self._share, "share", "share", f"127.0.0.1:{port}", "--rendezvous", self._relay,
            "--no-addresses", "-v")
        began = time.monotonic()
        ticket = tickets.wait("qtun1", 10)
        time.sleep(max(0.0, began + skew - time.monotonic()))
        began = time.monotonic()
        link, addresses, link_log = self._start(
            self._link, "link", "connect", ticket[1], "0", "-v")
        opened = addresses.wait(":", PATIENCE)
        try:
            answered = bool(opened) and self._ask(opened[1])
        finally:
            for process in (link, share):
                process.terminate()
                process.wait()
        return Run(
            opened[0] - began if opened else None, answered,
            f"-- share\n{share_log.text}\n-- connect\n{link_log.text}")

    def _ask(self, address: str) -> bool:
        with self._link.inside():
            client = socket.socket()
        with client:
            client.settimeout(5)
            client.connect(("127.0.0.1", int(address.rsplit(":", 1)[1])))
            client.sendall(b"0123456789")
            return client.recv(100) == b"9876543210"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("qtun")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--routers", default="DD", help="two letters of lab/nat.py")
    options = parser.parse_args()
    failed = 0
    try:
        with DistantInternet(options.qtun, ROUND_TRIP) as net:
            meeting = Meeting(options.qtun, net, tuple(options.routers))
            for skew in SKEWS:
                failed += not row(meeting, skew, options)
            meeting.close()
    except (Unavailable, NoLink) as error:
        print(f"skip  rendezvous  no network of our own here ({error})")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    print(f"{len(SKEWS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


def row(meeting: Meeting, skew: float, options: argparse.Namespace) -> bool:
    """Runs one start skew and prints it."""
    runs = [meeting.run(skew) for _ in range(options.runs)]
    times = sorted(run.opened for run in runs if run.opened is not None)
    good = [run for run in runs if run.answered and run.opened <= BAR]
    summary = (
        f"median {statistics.median(times):.3f} s, worst {times[-1]:.3f} s" if times else "never")
    is_good = len(good) == len(runs)
    print(
        f"{'ok' if is_good else 'FAIL':<4}  rendezvous  routers {'x'.join(options.routers)}, start skew "
        f"{skew} s: {len(times)} of {len(runs)} direct, {summary} (bar {BAR} s)", flush=True)
    for run in runs:
        if run not in good:
            print(f"opened after {run.opened}, answered {run.answered}\n{run.log}")
            break
    return is_good


if __name__ == "__main__":
    sys.exit(main())
