"""Plays one case: two namespaces, the link between them, a server, a client, and the verdict."""

import dataclasses
import pathlib
import shutil
import threading
import time

from harness.process import Process
from harness.suite import Failure, Skip, require
from harness.tools import Tools
from harness.workspace import Workspace
from lab.bad_link import ADDRESS_B, BadLink
from matrix.cases import Case
from matrix.peers import OURS, PORT, Command, Peer, Run
from matrix.plan import Play
from matrix.rules import Figure
from matrix.verdict import Evidence

# Packets that are still on their way when the client has ended.
AFTERMATH_SECONDS = 0.5
KEPT = ("*.pcap", "*.keys", "*.out", "*.err")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a case went: `ok`, `FAIL` or `skip`, a few words, and what was measured."""

    status: str
    words: str
    seconds: float = 0
    figure: Figure | None = None


class Stage:
    """Plays cases, and keeps the evidence of those that fail."""

    def __init__(
        self, tools: Tools, parent: str, failures: pathlib.Path, keeps_all: bool
    ) -> None:
        self._tools = tools
        self._parent = parent
        self._failures = failures
        self._keeps_all = keeps_all
        self._is_stopped = threading.Event()
        # Certificates are made once; the ends of links have the same names until they are moved.
        self._birth = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        return self._is_stopped.is_set()

    def stop(self) -> None:
        """Whatever is played ends soon, as a failure."""
        self._is_stopped.set()

    def play(self, play: Play) -> Outcome:
        """One case, from the start of its programs to the verdict."""
        case, peer, role = play.case, play.peer, play.role
        theirs = "server" if role == "client" else "client"
        lack = OURS.lacks[role].get(case.name) or peer.lacks[theirs].get(case.name)
        if lack:
            return Outcome("skip", lack)
        started, figure = time.monotonic(), None
        kept = self._failures / f"{case.name}-{peer.name}-{role}-{play.seed}"
        with Workspace(self._parent) as workspace:
            try:
                figure = self._attempt(workspace, play)
                if role == "server" or not case.is_of_server:
                    require(
                        figure is None or case.bar.is_met(figure), f"{figure}, not {case.bar}")
                words = str(figure or "")
                if self._keeps_all:
                    self._keep(workspace, kept, words)
                return Outcome("ok", words, time.monotonic() - started, figure)
            except Skip as skip:
                return Outcome("skip", str(skip))
            except Exception as failure:
                words = f"{failure}" if isinstance(failure, Failure) else repr(failure)
                self._keep(workspace, kept, words)
                return Outcome("FAIL", words, time.monotonic() - started, figure)

    def _attempt(self, workspace: Workspace, play: Play) -> Figure | None:
        case, peer = play.case, play.peer
        client, server = (OURS, peer) if play.role == "client" else (peer, OURS)
        with self._birth:
            certificates = (
                self._tools.long_chain if case.has_long_chain else self._tools.certificates)
        is_http3 = peer.is_http3_only or case.client == "http3"
        run = Run(
            self._tools, case, workspace.make_files(case.files), workspace.www,
            workspace.downloads, certificates.path, workspace.path / "client.keys",
            workspace.path, "h3" if is_http3 else "hq-interop")
        with self._birth:
            link = BadLink(str(self._tools.link), play.seed, *case.lines)
        with link:
            link.tell(f"capture {workspace.path}/client.pcap {workspace.path}/server.pcap")
            serving = _start(
                workspace, link.b, f"{server.name}-server",
                server.server(dataclasses.replace(run, key_log=workspace.path / "server.keys")))
            _await_port(serving, link.b.pid)
            if case.has_cross_traffic:
                _start_cross_traffic(workspace, self._tools, link)
            self._run_client(workspace, link, client, run)
            time.sleep(AFTERMATH_SECONDS)
            require(serving.is_running, f"the server died, exit status {serving.status}")
        expects_files = not (case.name == "versionnegotiation" and client is OURS)
        if expects_files:
            _require_files(workspace, run.names)
        return case.rule(Evidence(workspace.path))

    def _run_client(
        self, workspace: Workspace, link: BadLink, client: Peer, run: Run
    ) -> None:
        """Plays the schedule meanwhile."""
        waiting = list(run.case.schedule)
        started = time.monotonic()
        for command in client.client(run):
            process = _start(workspace, link.a, f"{client.name}-client", command)
            while process.wait(0.02) is None:
                elapsed = time.monotonic() - started
                require(not self.is_stopped, "interrupted")
                require(elapsed < run.case.seconds, f"not done after {run.case.seconds} s")
                while waiting and waiting[0][0] <= elapsed:
                    link.tell(waiting.pop(0)[1])
            require(process.status == 0, f"the client's exit status is {process.status}")

    def _keep(self, workspace: Workspace, kept: pathlib.Path, words: str) -> None:
        """Ends everything first, so that the logs are whole."""
        text = workspace.logs()
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / "outcome.txt").write_text(f"{words}\n{text}\n")
        for pattern in KEPT:
            for path in workspace.path.glob(pattern):
                shutil.move(path, kept / path.name)


def _start(workspace: Workspace, end, name: str, command: Command) -> Process:
    arguments = end.command(*[str(argument) for argument in command.arguments])
    return workspace.start(name, arguments, command.environment)


def _await_port(process: Process, namespace: int) -> None:
    """Until the server's port is bound, as the kernel's tables of its namespace say."""
    wanted = f":{PORT:04X} "

    def is_bound() -> bool:
        tables = [pathlib.Path(f"/proc/{namespace}/net/{name}") for name in ("udp", "udp6")]
        return any(wanted in table.read_text() for table in tables if table.exists())

    require(bool(process.wait_for(is_bound)), "the server does not listen")


def _start_cross_traffic(workspace: Workspace, tools: Tools, link: BadLink) -> None:
    """TCP (cubic) in the same direction, for as long as the case may last."""
    program = tools.program("iperf3")
    listener = _start(workspace, link.b, "iperf3-server", Command([program, "-s", "-1"]))
    found = listener.wait_for(
        lambda: ":1451 " in pathlib.Path(f"/proc/{link.b.pid}/net/tcp6").read_text()
        or ":1451 " in pathlib.Path(f"/proc/{link.b.pid}/net/tcp").read_text())
    require(bool(found), "iperf3 does not listen")
    _start(workspace, link.a, "iperf3-client", Command(
        [program, "-c", ADDRESS_B, "-R", "-C", "cubic", "-t", "180", "-i", "0"]))


def _require_files(workspace: Workspace, names: list[str]) -> None:
    differing = workspace.differing_downloads(names)
    require(not differing, f"{len(differing)} of {len(names)} files differ: {differing[:3]}")
    others = {path.name for path in workspace.downloads.iterdir()} - set(names)
    require(not others, f"files that nobody asked for: {sorted(others)[:3]}")
