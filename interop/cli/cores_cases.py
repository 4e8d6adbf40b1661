"""A relay that forwards on several cores: sessions on each, nodes whose NAT forgets them, a kernel that refuses."""

import os
import platform
import re
import select
import signal
import socket
import sys
import threading

from cli.group import Group
from cli.relay_cases import get, require_echo, share_through, start_relay
from cli.sockets import dial, free_tcp_port, pattern, receive_exactly
from cli.stage import Stage, end, first_line, require_line
from harness.process import Process
from harness.suite import require

GROUP = Group("cores")
BYTES = 300_000

# Runs a command for which SO_ATTACH_REUSEPORT_CBPF is refused, as a container may have it:
# seccomp(2), by the number of setsockopt, the level and the option.
REFUSING = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 5, int(sys.argv[1])), (0x20, 0, 0, 24), (0x15, 0, 3, 1),
        (0x20, 0, 0, 32), (0x15, 0, 1, 51), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
"""
SETSOCKOPT = {"x86_64": 54, "aarch64": 208}


class Gateway:
    """A NAT in front of a relay: each node has a port of its own there, until they are forgotten."""

    def __init__(self, relay_port: int) -> None:
        self._relay = ("127.0.0.1", relay_port)
        self._inside = _bound()
        self.port = self._inside.getsockname()[1]
        self._outside: dict[tuple, socket.socket] = {}
        self._lock = threading.Lock()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Each node gets another port with its next datagram; what comes to the old ones is lost."""
        with self._lock:
            for outside in self._outside.values():
                outside.close()
            self._outside.clear()

    def close(self) -> None:
        self._is_open = False
        self._thread.join()
        self.forget()
        self._inside.close()

    def _run(self) -> None:
        while self._is_open:
            with self._lock:
                nodes = {outside: node for node, outside in self._outside.items()}
                ready, _, _ = select.select([self._inside, *nodes], [], [], 0.02)
                for source in ready:
                    self._pass(source, nodes.get(source))

    def _pass(self, source: socket.socket, node: tuple | None) -> None:
        while True:
            try:
                data, sender = source.recvfrom(65_536)
            except BlockingIOError:
                return
            if node:
                self._inside.sendto(data, node)
            else:
                if sender not in self._outside:
                    self._outside[sender] = _bound()
                self._outside[sender].sendto(data, self._relay)


def _bound() -> socket.socket:
    new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    new.bind(("127.0.0.1", 0))
    new.setblocking(False)
    return new


def _threads(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/task"))


def _shards(admin: int, family: str) -> list[int]:
    metrics = get(admin, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").decode()
    return [int(value) for value in re.findall(rf'^qtun_shard_{family}{{shard="\d+"}} (\d+)$',
                                               metrics, re.MULTILINE)]


def _exchange(client: socket.socket, seed: int) -> None:
    """Every byte comes back as it was."""
    data = pattern(seed, BYTES)
    sender = threading.Thread(target=client.sendall, args=[data], daemon=True)
    sender.start()
    require(receive_exactly(client, len(data)) == data, "other bytes come back")
    sender.join()


@GROUP.case("cores-sessions")
def _sessions(stage: Stage) -> None:
    """Two sessions of one share are on two cores, and stay there when each node's NAT forgets it."""
    port, admin = free_tcp_port(), free_tcp_port()
    gateway = Gateway(port)
    stage.at_end(gateway.close)
    relay = stage.start(
        "relay", "--open", "--listen", f"127.0.0.1:{port}", "--name", f"127.0.0.1:{gateway.port}",
        "--admin", admin, "--cores", 2, "--drain", "0s")
    name = first_line(relay)
    require_line(relay, r"forwarding on several cores .*2")
    require(_threads(relay) == 2, f"there are {_threads(relay)} threads")
    ticket = first_line(share_through(stage, name))
    clients = [dial(stage.connect(ticket, "--path", "relay").port) for _ in range(2)]
    for number, client in enumerate(clients):
        _exchange(client, number)
    require(_shards(admin, "sessions") == [1, 1], f"sessions: {_shards(admin, 'sessions')}")
    before = _shards(admin, "bytes_total")
    require(min(before) >= 2 * BYTES, f"bytes: {before}")
    gateway.forget()
    for number, client in enumerate(clients):
        _exchange(client, 10 + number)
    require(_shards(admin, "sessions") == [1, 1], f"sessions: {_shards(admin, 'sessions')}")
    after = _shards(admin, "bytes_total")
    require(min(late - early for early, late in zip(before, after)) >= 2 * BYTES, f"bytes: {after}")
    metrics = get(admin, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").decode()
    bindings = int(re.search(r"^qtun_bindings_total (\d+)$", metrics, re.MULTILINE).group(1))
    # The share's two legs and one of each of the others.
    require(bindings >= 4, f"{bindings} legs were bound anew")
    require(b"200 OK" in get(admin, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), "not well")
    require(end(relay, signal.SIGTERM, 10) == 0, "the relay does not end well")


@GROUP.case("cores-one")
def _one(stage: Stage) -> None:
    """One core is one thread; and where the kernel does not steer, it is said and everything works."""
    alone, _ = start_relay(stage, "--open", "--cores", 1)
    require(_threads(alone) == 1, f"there are {_threads(alone)} threads")
    number = SETSOCKOPT.get(platform.machine())
    if number is None:
        return
    relay, name = start_relay(
        stage, "--open", "--cores", 2,
        wrapper=(sys.executable, "-c", REFUSING, str(number)))
    require_line(relay, r"forwarding on one core .*kernel refuses more.*Operation not permitted")
    require(_threads(relay) == 1, f"there are {_threads(relay)} threads")
    connect = stage.connect(first_line(share_through(stage, name)), "--path", "relay")
    require_echo(connect.port)


@GROUP.case("cores-tcp")
def _byte_streams(stage: Stage) -> None:
    """A node on a byte stream and one on UDP meet on the core that has the byte streams."""
    admin = free_tcp_port()
    _, name = start_relay(stage, "--open", "--cores", 2, "--admin", admin)
    ticket = first_line(share_through(stage, name))
    first = dial(stage.connect(ticket, "--path", "relay").port)
    _exchange(first, 1)
    require(_shards(admin, "sessions") == [0, 1], f"sessions: {_shards(admin, 'sessions')}")
    client = dial(stage.connect(ticket, "--path", "relay", "--carrier", "tcp").port)
    _exchange(client, 2)
    require(_shards(admin, "sessions") == [1, 1], f"sessions: {_shards(admin, 'sessions')}")
