"""An ssh server of the machine's own, as an ordinary process with its own keys and configuration."""

import getpass
import os
import pathlib
import socket
import subprocess

from harness.suite import require
from harness.tools import Tools
from harness.workspace import Workspace

# The server changes its root to this one when root runs it.
PRIVILEGE_FOLDER = pathlib.Path("/run/sshd")


class SSHServer:
    """`sshd` at a free port of 127.0.0.1, for the user who runs the tests and one key."""

    def __init__(self, tools: Tools, workspace: Workspace) -> None:
        self._client = tools.program("ssh")
        server = tools.program("sshd")
        keygen = tools.program("ssh-keygen")
        self._folder = workspace.path / "ssh"
        self._folder.mkdir(mode=0o700)
        for name in ["host", "user"]:
            subprocess.run(
                [keygen, "-q", "-t", "ed25519", "-N", "", "-f", self._folder / name], check=True)
        if os.geteuid() == 0:
            PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        configuration = self._folder / "config"
        configuration.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self._folder}/host\n"
            f"AuthorizedKeysFile {self._folder}/user.pub\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n")
        # -D stays in the foreground, so that it ends with the case; sshd wants its full path.
        self.process = workspace.start("sshd", [server, "-D", "-e", "-f", str(configuration)], {})
        listening = self.process.wait_for(lambda: "Server listening" in self.process.errors(), 10)
        require(bool(listening), f"sshd does not start: {self.process.errors()}")

    def command(self, proxy_command: str, *words: str) -> list[str]:
        """A client that reaches the server through a program, and what it runs there.

        The program's words may have %h and %p for the server's host and port.
        """
        options = [
            f"ProxyCommand={proxy_command}", f"IdentityFile={self._folder}/user",
            "IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self._folder}/known", "LogLevel=ERROR", "ConnectTimeout=10",
        ]
        command = [self._client, "-F", "none", "-p", str(self.port)]
        for option in options:
            command += ["-o", option]
        return command + [f"{getpass.getuser()}@127.0.0.1", *words]
