"""Sessions that go through a relay: `--carrier relay`, and carriers that differ at its two sides."""

import hashlib
import pathlib
import re
import socket

from cli.group import Group
from cli.sockets import PIECE, dial, echo, pattern, receive_exactly
from cli.stage import Connect, Stage, first_line, require_line
from harness.process import Process
from harness.suite import require

GROUP = Group("forward")
BULK = 100_000_000
MARKER = b"a plaintext that no relay may see 7f3a"


class _Party:
    """A relay, and a share that can be reached by it alone."""

    def __init__(self, stage: Stage, handle) -> None:
        self.relay = stage.start("relay", "--open", "--listen", "127.0.0.1:0")
        name = first_line(self.relay)
        self.service = stage.service(handle)
        self.share = stage.start(
            "share", self.service.port, "--listen", "127.0.0.1:0", "--rendezvous", name,
            "--no-addresses")
        self.ticket = first_line(self.share)
        self._stage = stage

    def connect(self, carrier: str) -> Connect:
        """The other side, with an identity of its own."""
        return self._stage.connect(
            self.ticket, "--carrier", carrier, "--identity", self._stage.home / "other")


def _memory(process: Process) -> bytes:
    """All that a process has written to: its heaps, stacks and data."""
    found = bytearray()
    folder = pathlib.Path("/proc") / str(process.pid)
    with open(folder / "mem", "rb", buffering=0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if area is None:
                continue
            start, stop = (int(text, 16) for text in area.groups())
            memory.seek(start)
            while start < stop:
                try:
                    piece = memory.read(min(stop - start, 1 << 20))
                except OSError:
                    break
                if not piece:
                    break
                found += piece
                start += len(piece)
    return bytes(found)


@GROUP.case("blind-relay", seconds=60)
def _blind(stage: Stage) -> None:
    """The session says that it is relayed, and the relay's memory does not hold what is said."""
    party = _Party(stage, echo)
    connect = party.connect("relay")
    require_line(connect.process, r"through the relay 127\.0\.0\.1:\d+")
    with dial(connect.port) as client:
        for _ in range(200):
            client.sendall(MARKER)
            require(receive_exactly(client, len(MARKER)) == MARKER, "something else came back")
        require(MARKER in _memory(connect.process), "the search would not find it anywhere")
        require(MARKER not in _memory(party.relay), "the relay's memory has the plaintext")
    require(MARKER.decode() not in party.relay.errors(), "the relay's log has the plaintext")


@GROUP.case("udp-and-tcp", seconds=150)
def _mixed(stage: Stage) -> None:
    """One node reaches the relay over TCP, the other over UDP; 100 MB cross byte by byte."""
    def digest(connection: socket.socket) -> int:
        value, count = hashlib.sha256(), 0
        while piece := connection.recv(PIECE):
            value.update(piece)
            count += len(piece)
        connection.sendall(value.digest())
        return count

    party = _Party(stage, digest)
    connect = party.connect("tcp")
    require_line(connect.process, r"through the relay 127\.0\.0\.1:\d+")
    sent = pattern(3, BULK)
    with dial(connect.port) as client:
        client.settimeout(140)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = receive_exactly(client, 32)
    require(received == hashlib.sha256(sent).digest(), "the bytes differ")
    require(party.service.outcome() == BULK, "the service saw another number of bytes")
