"""What a run left: captures of both ends of the link, decrypted when a rule asks."""

import functools
import pathlib

from harness.suite import Failure, require
from lab.bad_link import ADDRESS_B, ADDRESS_B6
from packets import capture
from packets.secrets import KeyLog
from packets.trace import V1, Trace


class Evidence:
    """The packets of one run, as either side saw them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    @functools.cached_property
    def client(self) -> Trace:
        """What the client sent, and what arrived there."""
        return self._trace("client.pcap")

    @functools.cached_property
    def server(self) -> Trace:
        """What arrived at the server, and what it sent."""
        return self._trace("server.pcap")

    @property
    def handshakes(self) -> int:
        """How many connections the server answered: the IDs that it chose."""
        return len({packet.source_id for packet in self.server.of("server", "initial")})

    def require_handshakes(self, count: int) -> None:
        require(self.handshakes == count, f"{self.handshakes} handshakes, not {count}")

    def require_version(self, version: int = V1) -> None:
        versions = {packet.version for packet in self.server.of("server", "initial")}
        require(versions == {version}, f"versions: {sorted(map(hex, versions))}")

    def _trace(self, name: str) -> Trace:
        path = self._folder / name
        if not path.exists():
            raise Failure(f"the link captured nothing in {name}")
        keys = KeyLog(self._folder / "client.keys", self._folder / "server.keys")
        return Trace(capture.read(path), {ADDRESS_B, ADDRESS_B6}, keys)
