"""Runs of `qtun` for one case, each with the case's own home and temporary directory."""

import contextlib
import pathlib
import re
import shlex

from cli.sockets import Handler, Service
from cli.ticket import Ticket
from harness.process import Process
from harness.suite import Failure, require
from harness.tools import Tools
from harness.workspace import Workspace


class Stage:
    """What a case works with; ends its services when the case is over."""

    def __init__(self, tools: Tools, workspace: Workspace) -> None:
        self.tools = tools
        self.workspace = workspace
        self.home = workspace.path / "home"
        self.temporary = workspace.path / "tmp"
        for directory in [self.home, self.temporary]:
            directory.mkdir()
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_) -> None:
        self._cleanup.close()

    @property
    def identity(self) -> pathlib.Path:
        """Where keys go unless a command line says otherwise."""
        return self.home / ".config" / "qtun" / "identity"

    def at_end(self, close) -> None:
        """Calls `close` when the case is over."""
        self._cleanup.callback(close)

    def service(self, handle: Handler, **options) -> Service:
        """Starts a service that is closed with the case."""
        service = Service(handle, **options)
        self._cleanup.callback(service.close)
        return service

    def start(
        self, *words: object, environment: dict[str, str] | None = None, redirection: str = "",
        wrapper: tuple[str, ...] = (),
    ) -> Process:
        """Starts `qtun` with these words.

        `redirection` is what a shell understands, such as `<&-`; `wrapper` is a command that runs
        the program.
        """
        command = [*wrapper, self.tools.qtun, *words]
        if redirection:
            line = shlex.join(str(word) for word in command)
            command = ["sh", "-c", f"exec {line} {redirection}"]
        places = {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        name = f"qtun-{words[0] if words else 'alone'}"
        return self.workspace.start(name, command, places | (environment or {}))

    def run(self, *words: object, status: int = 0, seconds: float = 10, **options) -> Process:
        """Runs `qtun` to its end, which must come in time and with this exit status."""
        process = self.start(*words, **options)
        ended = process.wait(seconds)
        require(ended is not None, f"'qtun {words[0]}' runs longer than {seconds} s")
        require(ended == status, f"'qtun {words[0]}' ended with {ended} instead of {status}")
        return process

    def share(self, target: object, *options: object, port: int = 0, **settings) -> "Share":
        """Starts a share on loopback and waits for its ticket."""
        words = ["share", target, "--listen", f"127.0.0.1:{port}", *options]
        return Share(self.start(*words, **settings))

    def connect(self, ticket: str, *options: object, listen: object = 0, **settings) -> "Connect":
        """Connects to a share and waits for the local address."""
        return Connect(self.start("connect", ticket, listen, *options, **settings))

    def tunnel(
        self, handle: Handler, *options: object, retry: str = "never", **service_options
    ) -> "Tunnel":
        """A service, a share of it, and a connection to that, which ends with its session."""
        service = self.service(handle, **service_options)
        share = self.share(service.port, *options)
        return Tunnel(
            service, share, self.connect(share.ticket, "--retry", retry, *options))


class Share:
    """A running `qtun share` that printed its ticket as text."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ticket = first_line(process)
        self.invitation = Ticket.parse(self.ticket)


class Connect:
    """A running `qtun connect` that printed its address as text."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = first_line(process)
        found = re.fullmatch(r"127\.0\.0\.1:(\d+)", self.address)
        require(found is not None, f"'{self.address}' is no address on loopback")
        self.port = int(found.group(1))


class Tunnel:
    """Both sides of a tunnel, and the service behind it."""

    def __init__(self, service: Service, share: Share, connect: Connect) -> None:
        self.service = service
        self.share = share
        self.connect = connect
        self.port = connect.port


def first_line(process: Process) -> str:
    """The first whole line on standard output; the process must live to print it."""
    found = process.wait_for(lambda: "\n" in process.output(), seconds=20)
    if not found:
        raise Failure(f"{process.name} printed nothing, exit status {process.status}")
    return process.output().split("\n")[0]


def require_line(process: Process, pattern: str, seconds: float = 5) -> None:
    """Waits for a line on standard error that matches."""
    found = process.wait_for(
        lambda: re.search(pattern, process.errors(), re.MULTILINE), seconds=seconds)
    require(bool(found), f"{process.name} does not say '{pattern}' within {seconds} s")


def require_text(text: str, *parts: str) -> None:
    """Requires each part to occur in the text."""
    for part in parts:
        require(part in text, f"'{part}' is missing in:\n{text}")


def end(process: Process, signal_number: int, seconds: float = 5) -> int:
    """Sends a signal to a process, which must end in time; its exit status."""
    process.send(signal_number)
    status = process.wait(seconds)
    require(status is not None, f"{process.name} lives {seconds} s after signal {signal_number}")
    return status
