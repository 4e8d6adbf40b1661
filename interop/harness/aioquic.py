"""aioquic in both roles, by the scripts in interop/peers."""

from harness.process import Process
from harness.suite import Failure
from harness.tools import Tools
from harness.workspace import Workspace, free_port


class Server:
    """A server of aioquic on 127.0.0.1, honest or of the hostile kind."""

    def __init__(
        self, tools: Tools, workspace: Workspace, options: list[str] | None = None,
        script: str = "aioquic_server.py", host: str = "127.0.0.1",
    ) -> None:
        self.port = free_port()
        certificates = tools.certificates
        self.process = workspace.start(
            "aioquic-server", [
                tools.python, "-B", tools.interop / "peers" / script, "--host", host,
                "--port", self.port, "--certificate", certificates.chain,
                "--key", certificates.key, "--www", workspace.www, *(options or []),
            ])
        if not self.process.wait_for(lambda: "listening" in self.process.output()):
            raise Failure("the aioquic server does not listen")

    def connections(self, count: int) -> list[dict]:
        """The facts of all connections in order, once as many have ended."""
        found = self.process.wait_for(lambda: len(self.process.facts()) > count, seconds=5)
        if not found:
            raise Failure(f"the aioquic server did not see {count} connections end")
        return sorted(self.process.facts()[1:], key=lambda facts: facts["number"])


def fetch(
    tools: Tools, workspace: Workspace, port: int, alpn: str, names: list[str],
    options: list[str] | None = None,
) -> Process:
    """Has aioquic fetch files; returns when it is done."""
    client = workspace.start(
        "aioquic-client", [
            tools.python, "-B", tools.interop / "peers" / "aioquic_client.py", "--port", port,
            "--authority", tools.certificates.authority, "--downloads", workspace.downloads,
            "--alpn", alpn, *(options or []), *names,
        ])
    client.wait()
    return client
