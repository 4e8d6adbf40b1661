"""Our interop endpoint in both roles."""

import dataclasses
import re

from harness.process import Process
from harness.suite import Failure, require
from harness.tools import Tools
from harness.workspace import Workspace


class Server:
    """Our server, listening on a port of 127.0.0.1 that it picked."""

    def __init__(
        self, tools: Tools, workspace: Workspace, case: str, alpn: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.process = workspace.start(
            "qtun-server", [tools.endpoint], {
                "ROLE": "server", "TESTCASE": case, "QTUN_ALPN": alpn,
                "QTUN_ADDRESS": "127.0.0.1", "QTUN_PORT": "0",
                "QTUN_WWW": str(workspace.www), "QTUN_CERTS": str(tools.certificates.path),
            } | (environment or {}))
        found = self.process.wait_for(
            lambda: re.search(r"listening on \S+:(\d+)\n", self.process.errors()))
        if not found:
            raise Failure("our server does not listen")
        self.port = int(found.group(1))

    def handshakes(self) -> list["Handshake"]:
        """What our server says about each accepted connection."""
        return Handshake.parse(self.process.errors(), "accepted")

    def require_alive(self) -> None:
        require(self.process.is_running, f"our server died, exit status {self.process.status}")


class Client:
    """Our client, fetching files from 127.0.0.1."""

    def __init__(
        self, tools: Tools, workspace: Workspace, case: str, alpn: str, port: int,
        names: list[str], host: str = "localhost", seconds: float = 30,
        environment: dict[str, str] | None = None,
    ) -> None:
        urls = [f"https://{host}:{port}/{name}" for name in names]
        self._process = workspace.start(
            "qtun-client", [tools.endpoint], {
                "ROLE": "client", "TESTCASE": case, "QTUN_ALPN": alpn, "REQUESTS": " ".join(urls),
                "QTUN_DOWNLOADS": str(workspace.downloads),
                "QTUN_CERTS": str(tools.certificates.path),
            } | (environment or {}))
        self.status = self._process.wait(seconds)

    def handshakes(self) -> list["Handshake"]:
        """What our client says about each of its connections."""
        return Handshake.parse(self._process.errors(), "connected")

    @property
    def words(self) -> str:
        return self._process.errors()


@dataclasses.dataclass(frozen=True)
class Handshake:
    """How a handshake went, as our endpoint logged it."""

    version: str
    alpn: str
    cipher: str
    is_resumed: bool

    @staticmethod
    def parse(log: str, verb: str) -> list["Handshake"]:
        pattern = rf"{verb} version=(\S+) alpn=(\S+) cipher=(\S+) resumed=(\S+)"
        return [
            Handshake(version, alpn, cipher, resumed == "true")
            for version, alpn, cipher, resumed in re.findall(pattern, log)
        ]
