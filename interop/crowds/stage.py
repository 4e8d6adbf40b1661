"""A relay with a core of its own, and everybody else on the other one."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

from lab.distance import DistantInternet
from lab.internet import Internet, Node
from meetings.programs import Lines, Program

PORT = 3478
ADMIN = 9100
# Where the relay runs, and where all others do: forging packets costs more than dropping them.
RELAY_CORE, OTHER_CORE = 0, 1
# To the relay; twice that between two of its nodes.
ROUND_TRIP = 0.020
# Each way, of an existing session. What is measured is what a flood takes from it, not how fast
# everything is together on one core.
LINE = "rate 50mbit"
FLOODER = pathlib.Path(__file__).with_name("flooder.py")
CHUNK = 1 << 16


class Neighbourhood(DistantInternet):
    """An internet where some are near: nothing but the kernel is between them and the core."""

    NEAR = ("relay", "attacker", "peers")

    def wire(self, one: Node, one_name: str, other: Node, other_name: str) -> None:
        if {one.name, other.name} & set(self.NEAR):
            return Internet.wire(self, one, one_name, other, other_name)
        return super().wire(one, one_name, other, other_name)


class Stage:
    """The internet, the relay, and whoever comes later; all of it ends with this."""

    def __init__(self, qtun: str, crowd: str, *options: str) -> None:
        self.qtun, self.crowd = os.path.abspath(qtun), os.path.abspath(crowd)
        self._options = options
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Stage":
        # Half of what is between two nodes is between a node and the relay.
        self.net = self._stack.enter_context(Neighbourhood(self.qtun, 2 * ROUND_TRIP))
        self.folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="qtun-load-"))
        self.node = self.net.public("relay")
        self.address = self.node.addresses[0]
        if "--open" not in self._options:
            # Without tokens there would be nobody to serve.
            self.node.run(self.qtun, "token", "add", "--identity", f"{self.folder}/relay")
        self.relay = Program(
            self.net, self.node, "taskset", self.folder, "-c", str(RELAY_CORE), self.qtun, "relay",
            "--name", self.address, "--identity", f"{self.folder}/relay",
            "--admin", f"127.0.0.1:{ADMIN}", *self._options)
        self.rendezvous = self.relay.first_line()
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    # The relay, from outside

    def memory(self) -> int:
        """Resident KiB of the relay."""
        text = pathlib.Path(f"/proc/{self.relay.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))

    def processor(self) -> float:
        """Seconds that the relay has used."""
        tasks = pathlib.Path(f"/proc/{self.relay.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def wakes(self) -> int:
        """How often the relay has waited for something to do: what idle nodes cost, whatever else the
        machine does."""
        tasks = pathlib.Path(f"/proc/{self.relay.process.pid}/task").glob("*/status")
        return sum(
            int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(), re.M).group(1))
            for task in tasks)

    def metrics(self) -> dict[str, float]:
        """What the relay counts, by the name with its labels."""
        with self.node.inside():
            connection = socket.create_connection(("127.0.0.1", ADMIN), timeout=10)
        with connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
            data = b""
            while part := connection.recv(CHUNK):
                data += part
        lines = (line.rsplit(" ", 1) for line in data.decode().splitlines() if not line.startswith("#"))
        return {words[0]: float(words[1]) for words in lines if re.match(r"(qtun|process)_", words[0])}

    # The others

    def start(self, node: Node, *words: object) -> "Talk":
        return Talk(self.net, node, *words)

    def attacker(self, addresses: int = 1) -> Node:
        """A node that gets whatever is sent to addresses that are nobody's."""
        node = self.net.public("attacker", addresses)
        gateway = node.addresses[0].rsplit(".", 1)[0]
        self.net.core.run("ip", "route", "add", "default", "via", node.addresses[0])
        self.net.core.run(
            "sh", "-c", "for i in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$i; done")
        # The attacker's own way out, also for others' addresses.
        node.run("ip", "route", "replace", "default", "via", f"{gateway}.1")
        return node

    def flood(self, node: Node, packets: list[bytes], rate: int, seconds: float) -> "Talk":
        path = pathlib.Path(self.folder) / "packets"
        path.write_text("\n".join(packet.hex() for packet in packets))
        talk = self.start(
            node, sys.executable, "-B", FLOODER, path, self.address, PORT, rate, seconds)
        talk.line(60)
        return talk

    def session(self) -> "Session":
        return self._stack.enter_context(Session(self))

    def hello(self) -> tuple[bytes, bytes]:
        """A ClientHello of qtun for this relay, and the connection ID that stands in it."""
        from crowds import initial

        key = self.rendezvous.split("@")[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("127.0.0.1", 0))
            ear.settimeout(20)
            share = subprocess.Popen(
                [self.qtun, "share", "9", "--rendezvous", f"{key}@127.0.0.1:{ear.getsockname()[1]}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={"XDG_RUNTIME_DIR": self.folder, "HOME": self.folder})
            try:
                while True:
                    packet = ear.recv(CHUNK)
                    found = initial.header(packet)
                    if found and (frames := initial.open_initial(packet, found.dcid, b"client in")):
                        return initial.crypto_data(frames), found.scid
            finally:
                share.terminate()
                share.wait()


class Talk:
    """A program that is told and says lines."""

    def __init__(self, net: Internet, node: Node, *words: object) -> None:
        self.process = net.start(
            node, list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.output, self._errors = Lines(self.process.stdout), Lines(self.process.stderr)
        self._read = 0

    def tell(self, line: str = "") -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def line(self, patience: float) -> str:
        """The next line."""
        number = self._read
        if not self.output.wait(lambda lines: len(lines) > number, time.monotonic() + patience):
            raise OSError(f"{self.process.args[-5:]} said nothing: {self._errors.text[-500:]}")
        self._read += 1
        return self.output.all()[number]

    def ask(self) -> dict:
        """Its answer to an empty line."""
        self.tell()
        return json.loads(self.line(60))

    def finish(self, patience: float) -> list[str]:
        """All lines that were not read, once it has ended."""
        self.process.wait(patience)
        self.output.wait(lambda _: False, time.monotonic() + 5)
        return self.output.all()[self._read:]

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Session:
    """A share and a link that talk through the relay, and an endless download."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.share = stage.net.public("share")
        self.link = stage.net.public("link")
        for number in (2, 3):
            stage.net.tell(f"p{number}", LINE, "queue 256k")
        self._bytes = 0
        self._is_over = False

    def __enter__(self) -> "Session":
        stage = self._stage
        with self.share.inside():
            self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        words = ["--path", "relay"]
        share = Program(
            stage.net, self.share, stage.qtun, stage.folder, "share",
            f"127.0.0.1:{self._server.getsockname()[1]}", "--rendezvous", stage.rendezvous,
            "--no-addresses", *words)
        self._link = Program(
            stage.net, self.link, stage.qtun, stage.folder, "connect", share.first_line(), "18000",
            *words)
        self._link.first_line()
        with self.link.inside():
            self._client = socket.create_connection(("127.0.0.1", 18_000), timeout=20)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._is_over = True
        self._client.close()
        self._server.close()

    @property
    def bytes(self) -> int:
        """So many have come so far."""
        return self._bytes

    def _serve(self) -> None:
        while not self._is_over:
            # The share looks first whether somebody is there.
            with contextlib.suppress(OSError):
                connection, _ = self._server.accept()
                with connection:
                    while not self._is_over:
                        connection.sendall(bytes(CHUNK))

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := self._client.recv(CHUNK):
                self._bytes += len(part)


class Watch:
    """The relay's memory, and some of what it counts, twice a second until `close`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.before = stage.memory()
        self.most = self.before
        self.counts: dict[str, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def growth(self) -> float:
        """MiB."""
        return (self.most - self.before) / 1024

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.5):
            self.most = max(self.most, self._stage.memory())
            for name, value in self._stage.metrics().items():
                self.counts[name] = max(self.counts.get(name, 0), value)
