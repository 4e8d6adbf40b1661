"""One share and one link that are to meet, and what became of them."""

import dataclasses
import socket
import time
from typing import TYPE_CHECKING

from lab.internet import Node
from meetings.programs import Event, Program

if TYPE_CHECKING:
    from meetings.stage import Stage

# What is sent through a path to see that it carries, and what of it may show up at the relay.
PAYLOAD = bytes(range(256)) * 1024
# The relay also sees the probes of the pairs that are up at the same time, some dozens of KiB.
RELAYED_MAX = len(PAYLOAD) // 2


@dataclasses.dataclass
class Run:
    """All times are seconds since the later of the two was started."""

    # The session is on a direct path.
    direct: float | None
    # There is a session, direct or through the relay.
    opened: float | None
    # It was said that a direct path cannot be had.
    refused: float | None
    # From the plan that led to the path, by the link's clock.
    searched: float | None
    # How the path came about.
    way: str
    # What was sent through it came back.
    answered: bool
    # Bytes that crossed the relay meanwhile.
    relayed: int
    log: str

    @property
    def is_direct(self) -> bool:
        return self.direct is not None and self.answered and self.relayed <= RELAYED_MAX


class Pair:
    """Two programs of one meeting. `first` tells which one is started first."""

    def __init__(
        self, stage: "Stage", number: int, share: Node, link: Node, first: str = "share",
        target: int | None = None, link_words: tuple[str, ...] = (),
    ) -> None:
        """`target` is the port that is shared, if it is not the usual service's."""
        self._stage, self._number, self._first = stage, number, first
        self._target, self._link_words = target, link_words
        self._nodes = {"share": share, "link": link}
        self.programs: dict[str, Program] = {}
        self._ticket: str | None = None
        self.began = 0.0
        # Of the share, on its own machine.
        self.port = 20_000 + number
        if first == "link":
            # A share at a fixed port has the same ticket each time.
            self._start_share()
            self._ticket = self.programs.pop("share").first_line()
            self._share.end()

    def start(self, is_later: bool) -> None:
        """Starts the earlier or the later one."""
        if (self._first == "share") == is_later:
            words = ["--retry", "forever"] if self._first == "link" else []
            self._start(
                "link", "connect", self._ticket or self.share.first_line(), "0", *words,
                *self._link_words)
        else:
            self._start_share()
        if is_later:
            self.began = max(program.started for program in self.programs.values())

    def _start_share(self) -> None:
        port = self._target or self._stage.target(self._nodes["share"])
        self._share = self._start(
            "share", "share", f"127.0.0.1:{port}",
            "--listen", str(self.port), "--no-addresses",
            *(word for name in self._stage.rendezvous for word in ("--rendezvous", name)))

    def _start(self, role: str, *words: str) -> Program:
        stage = self._stage
        self.programs[role] = Program(
            stage.net, self._nodes[role], stage.qtun, stage.folder, *words,
            "--identity", f"{stage.folder}/{role}{self._number}",
            *(word for address in stage.vantage for word in ("--stun", address)))
        return self.programs[role]

    @property
    def share(self) -> Program:
        return self.programs["share"]

    @property
    def link(self) -> Program:
        return self.programs["link"]

    def wait(self, patience: float, expects_relay: bool = False) -> None:
        """Until the session is direct, or until both sides have said that it will not be."""
        deadline = time.monotonic() + patience
        if not expects_relay:
            self.link.wait_for(lambda event: event.is_direct, deadline)
            return
        for program in (self.link, self.share):
            program.wait_for(is_refusal, deadline)
        self.link.wait_for(lambda event: event.message == "connected", deadline)

    def judge(self) -> Run:
        """Looks at what happened, and sends something through what there is."""
        events = self.link.events()
        direct = first(events, lambda event: event.is_direct)
        plan = None
        for event in events:
            if event.message == "punching" and (direct is None or event.time <= direct.time):
                plan = event
        found = first(events, lambda event: event.message == "direct path")
        # The other side follows half a round trip later, and what was on its way arrives.
        time.sleep(4 * self._stage.round_trip if direct else 0)
        relayed = self._stage.relayed()
        try:
            answered = self.ask()
        except OSError:
            answered = False
        refusals = [
            first(program.events(), is_refusal) for program in (self.link, self.share)]

        def since(event: Event | None) -> float | None:
            return event and event.time - self.began

        return Run(
            direct=since(direct), opened=since(first(events, lambda e: e.message == "connected")),
            refused=max(map(since, refusals)) if all(refusals) else None,
            searched=direct.time - plan.time if direct and plan else None,
            way=found.fields.get("cause", "") if found else "", answered=answered,
            relayed=self._stage.relayed() - relayed, log=self.log)

    @property
    def remote(self) -> tuple[str, int]:
        """Where the session's packets come from, as the sharing side or the relay sees it."""
        seen = [event for event in self.share.events() if event.message == "direct path"]
        seen = seen or [e for e in self.link.events() if e.message == "rendezvous answers"]
        host, _, port = seen[-1].fields["address"].rpartition(":")
        return host, int(port)

    @property
    def log(self) -> str:
        return "\n".join(
            f"-- {name}, started at {program.started - self.began:+.3f} s\n{program.log}"
            for name, program in self.programs.items())

    @property
    def entrance(self) -> int:
        """The port at which the link takes connections."""
        return int(self.link.first_line(20).rsplit(":", 1)[1])

    def connect(self) -> socket.socket:
        """A connection through the tunnel."""
        port = self.entrance
        with self._nodes["link"].inside():
            client = socket.socket()
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def ask(self) -> bool:
        """Whether what is sent through a new connection comes back."""
        with self.connect() as client:
            client.sendall(PAYLOAD)
            answer = b""
            while len(answer) < len(PAYLOAD):
                piece = client.recv(1 << 16)
                if not piece:
                    return False
                answer += piece
            return answer == PAYLOAD

    def end(self) -> None:
        for name in ("link", "share"):
            if name in self.programs:
                self.programs[name].end()


def is_refusal(event: Event) -> bool:
    """It says that nothing but the relay will do."""
    return event.message == "no direct path" and "unpredictable" in event.fields.get("cause", "")


def first(events: list[Event], condition) -> Event | None:
    return next((event for event in events if condition(event)), None)
