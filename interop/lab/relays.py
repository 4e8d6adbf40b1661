"""Two peers that only relays join, 40 ms apart, and relays that are killed with SIGKILL.

    unshare -Urn python3 interop/lab/relays.py .build/debug/qtun [--runs N]

Prints for how long an open connection got no answer when one of two relays died, and when the only one was
started again, and ends with 1 where a bar is missed. Then: a search for ports with too few descriptors says
so, and a share whose router forwards ports on request
(miniupnpd, where it is installed) has one while it runs, and gives it back.
"""

import argparse
import pathlib
import re
import shutil
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
from lab.internet import Node, Unavailable  # noqa: E402
from lab.netcheck import Gateway, Lab  # noqa: E402
from meetings.programs import Lines  # noqa: E402

ROUND_TRIP = 0.040
# From the death of one of two, and from the new start of the only one.
BAR_KILLED = 1.5
BAR_RESTARTED = 3.0
# How long the only one is away.
AWAY = 1.0
BEAT = 0.02


class Program:
    """A running qtun with the lines that it writes."""

    def __init__(self, net: DistantInternet, node: Node, words: list) -> None:
        self.process = net.start(
            node, words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.output, self.errors = Lines(self.process.stdout), Lines(self.process.stderr)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


class Echo:
    """A client that asks all the time, on one connection, and writes down when it was answered."""

    def __init__(self, node: Node, port: int) -> None:
        with node.inside():
            self._socket = socket.socket()
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", port))
        self.answers = [time.monotonic()]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._socket.sendall(b"x")
                if self._socket.recv(1) != b"x":
                    return
                self.answers.append(time.monotonic())
                time.sleep(BEAT)
        except OSError:
            pass

    def wait_for_answer(self, since: float, patience: float) -> float | None:
        """When the first answer after `since` came."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            later = [answer for answer in self.answers[-200:] if answer > since]
            if later:
                return later[0]
            time.sleep(0.005)
        return None

    def close(self) -> None:
        self._ended.set()
        self._socket.close()
        self._thread.join()


class Stage:
    """Relays in public, and two hosts behind routers that leave nothing but them."""

    def __init__(self, qtun: str, net: DistantInternet) -> None:
        self._qtun, self._net = qtun, net
        self._folder = tempfile.TemporaryDirectory()
        self._places = [net.public(f"relay{number}") for number in range(2)]
        self._share, self._link = (net.host(net.router("F")) for _ in range(2))
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
            threading.Thread(target=self._echo, args=[connection], daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(100):
                    connection.sendall(data)
            except OSError:
                pass

    def _start(self, node: Node, key: str, *words: str) -> Program:
        return Program(
            self._net, node, [self._qtun, *words, "--identity", f"{self._folder.name}/{key}"])

    def _relay(self, number: int) -> tuple[Program, str]:
        place = self._places[number]
        relay = self._start(place, f"relay{number}", "relay", "--open", "--name", place.addresses[0])
        named = relay.output.first("@", 10)
        if not named:
            raise RuntimeError(f"the relay does not start: {relay.errors.text}")
        return relay, named

    def run(self, count: int) -> tuple[float | None, str]:
        """How long there was no answer after the relay in use had died; with one, since it was back."""
        relays = [self._relay(number) for number in range(count)]
        words = [word for _, name in relays for word in ("--rendezvous", name)]
        port = self._target.getsockname()[1]
        share = self._start(
            self._share, "share", "share", f"127.0.0.1:{port}", "--no-addresses", *words, "-v")
        programs = [share, *(relay for relay, _ in relays)]
        client = None
        try:
            ticket = share.output.first("qtun1", 10)
            link = self._start(self._link, "link", "connect", ticket, "0", "-v")
            programs.append(link)
            opened = link.output.first(":", 20)
            if not opened:
                return None, self._story(share, link)
            client = Echo(self._link, int(opened.rsplit(":", 1)[1]))
            time.sleep(2)
            used = self._used(link)
            relays[used][0].process.kill()
            since = time.monotonic()
            relays[used][0].process.wait()
            if count == 1:
                time.sleep(AWAY)
                programs.append(self._relay(0)[0])
                since = time.monotonic()
            answered = client.wait_for_answer(since + ROUND_TRIP * 2, 20)
            return answered and answered - since, self._story(share, link)
        finally:
            if client:
                client.close()
            for program in programs:
                program.end()

    def _used(self, link: Program) -> int:
        hosts = re.findall(r"through the relay ([0-9.]+):", link.errors.text)
        if not hosts:
            raise RuntimeError(f"no relay is in use:\n{link.errors.text}")
        return next(
            number for number, place in enumerate(self._places) if place.addresses[0] == hosts[-1])

    @staticmethod
    def _story(share: Program, link: Program) -> str:
        return f"-- share\n{share.errors.text}\n-- connect\n{link.errors.text}"

    def starved(self) -> tuple[str, str]:
        """What is wrong with a search for ports that may open too few sockets, and what it says."""
        relay, name = self._relay(0)
        port = self._target.getsockname()[1]
        near = self._net.host(self._net.router("D"))
        share = self._start(
            near, "share", "share", f"127.0.0.1:{port}", "--no-addresses", "--rendezvous", name)
        link = None
        try:
            ticket = share.output.first("qtun1", 10)
            words = ["connect", ticket, "0", "--identity", f"{self._folder.name}/link"]
            link = Program(
                self._net, self._link, ["prlimit", "--nofile=60:60", self._qtun, *words])
            said = link.errors.first("fewer sockets", 10)
            # It goes through the relay all the same.
            opened = link.output.first(":", 10)
        finally:
            for program in [share, relay, *([link] if link else [])]:
                program.end()
        if not said or not opened:
            return "nothing is said of it" if opened else "no session", link.errors.text
        return "", said

    def mapping(self) -> tuple[str, str] | None:
        """What is wrong with the port of a share behind miniupnpd, and what was said; nil to skip."""
        if shutil.which("miniupnpd") is None:
            return None
        relay, name = self._relay(0)
        router = self._net.router("D")
        host = self._net.host(router)
        gateway = Gateway(
            _Router(self._net), router, pathlib.Path(self._folder.name), upnp=False, pcp=True)
        time.sleep(1.0)
        before = gateway.forwarded()
        share = self._start(host, "share", "share", "127.0.0.1:9", "--rendezvous", name)
        try:
            said = share.errors.first("the gateway forwards a port", 10)
            time.sleep(0.2)
            during = gateway.forwarded()
        finally:
            share.end()
            relay.end()
        # The router may be slow to do what it was told.
        deadline = time.monotonic() + 5
        while (after := gateway.forwarded()) != before and time.monotonic() < deadline:
            time.sleep(0.1)
        if not said or during <= before:
            return f"no port is forwarded ({before}, {during})", share.errors.text
        return ("the port was not given back" if after != before else ""), said


class _Router(Lab):
    """What a `Gateway` asks of a laboratory: its network."""

    def __init__(self, net: DistantInternet) -> None:
        self.net = net


def row(stage: Stage, count: int, bar: float, runs: int) -> bool:
    title = "one of two relays killed" if count == 2 else f"the only relay killed, back after {AWAY} s"
    results = [stage.run(count) for _ in range(runs)]
    times = sorted(gap for gap, _ in results if gap is not None)
    is_good = len(times) == runs and times[-1] <= bar
    summary = f"median {statistics.median(times):.2f} s, worst {times[-1]:.2f} s" if times else "never"
    print(f"{'ok' if is_good else 'FAIL':<4}  relays  {title}: {len(times)} of {runs} went on, {summary} "
          f"(bar {bar} s)", flush=True)
    for gap, story in results:
        if gap is None or gap > bar:
            print(f"no answer for {gap}\n{story}")
            break
    return is_good


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("qtun")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    passed = failed = skipped = 0
    try:
        with DistantInternet(options.qtun, ROUND_TRIP) as net:
            stage = Stage(options.qtun, net)
            for count, bar in ((2, BAR_KILLED), (1, BAR_RESTARTED)):
                good = row(stage, count, bar, options.runs)
                passed, failed = passed + good, failed + (not good)
            problem, said = stage.starved()
            passed, failed = passed + (not problem), failed + bool(problem)
            print(f"{'FAIL' if problem else 'ok':<4}  relays  a search with few descriptors: "
                  f"{problem or 'it says so'}\n      {said}", flush=True)
            mapped = stage.mapping()
            if mapped is None:
                skipped += 1
                print("skip  relays  port mapping: miniupnpd is not installed")
            else:
                problem, said = mapped
                passed, failed = passed + (not problem), failed + bool(problem)
                print(f"{'FAIL' if problem else 'ok':<4}  relays  port mapping: {problem or 'given back'}\n"
                      f"      {said}", flush=True)
            stage.close()
    except (Unavailable, NoLink) as error:
        print(f"skip  relays  no network of our own here ({error})")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
