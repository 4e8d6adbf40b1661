"""ngtcp2's example programs on GnuTLS, which speak HTTP/3."""

from harness.process import Process
from harness.suite import Failure
from harness.tools import Tools
from harness.workspace import Workspace, free_port, is_bound

# Their dumps of frames and bodies would fill the disk; ngtcp2's own log stays.
QUIET = ["--no-quic-dump", "--no-http-dump"]


class Server:
    """gtlsserver on 127.0.0.1."""

    def __init__(
        self, tools: Tools, workspace: Workspace, options: list[str] | None = None
    ) -> None:
        self.port = free_port()
        certificates = tools.certificates
        self.process = workspace.start(
            "gtlsserver", [
                tools.program("gtlsserver"), *QUIET, "-d", workspace.www, *(options or []),
                "127.0.0.1", self.port, certificates.key, certificates.chain,
            ])
        if not self.process.wait_for(lambda: is_bound(self.port)):
            raise Failure("gtlsserver does not listen")

    @property
    def log(self) -> str:
        return self.process.output() + self.process.errors()


def fetch(
    tools: Tools, workspace: Workspace, port: int, names: list[str],
    options: list[str] | None = None,
) -> Process:
    """Has gtlsclient fetch files; returns when it is done."""
    client = workspace.start(
        "gtlsclient", [
            tools.program("gtlsclient"), *QUIET, "--exit-on-all-streams-close",
            f"--download={workspace.downloads}", *(options or []), "127.0.0.1", port,
            *[f"https://localhost:{port}/{name}" for name in names],
        ])
    client.wait()
    return client
