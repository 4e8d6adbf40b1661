"""Sessions under load: a stream of checked bytes each way through a pair's tunnel."""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import time

from lab.internet import Node
from meetings.pair import Pair
from meetings.stage import Stage

# The rate of an end that only listens.
SILENT = -1
STREAMER = pathlib.Path(__file__).with_name("streamer.py")


@dataclasses.dataclass
class Flow:
    """What one end saw; see `streamer.py`."""

    sent: int
    received: int
    wrong: int | None
    first: float | None
    gaps: list[tuple[float, float]]
    ended: bool
    error: str

    def longest(self, since: float, until: float = float("inf")) -> float:
        """The longest wait that ended between the two times."""
        return max((end - begin for begin, end in self.gaps if since <= end <= until), default=0.0)


class Streamer:
    """One of the two programs."""

    def __init__(self, stage: Stage, node: Node, role: str, seed: int, rate: int) -> None:
        self._process = stage.net.start(
            node, [sys.executable, "-B", STREAMER, role, seed, rate], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)
        # A port, or that it is ready for one.
        self.first_line = self._process.stdout.readline().strip()

    def dial(self, port: int) -> None:
        self._process.stdin.write(f"{port}\n")

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.write("end\n")

    def report(self) -> Flow:
        line = self._process.stdout.readline()
        self._process.stdin.close()
        self._process.wait()
        if not line:
            raise OSError("a stream was never begun")
        return Flow(**json.loads(line))


class LoadedPair:
    """A share and a link that are started at once, and a stream that waits for their session."""

    def __init__(
        self, stage: Stage, number: int, share: Node, link: Node, seed: int,
        rates: tuple[int, int] = (0, 0), link_words: tuple[str, ...] = (),
    ) -> None:
        """`rates` are of the share's and of the link's end; see `streamer.py`."""
        self._server = Streamer(stage, share, "serve", seed, rates[0])
        self.pair = Pair(
            stage, number, share, link, target=int(self._server.first_line), link_words=link_words)
        self._client = Streamer(stage, link, "dial", seed, rates[1])

    def start(self) -> None:
        self.pair.start(is_later=False)
        self.pair.start(is_later=True)
        self._client.dial(self.pair.entrance)

    def wait_for(self, condition, patience: float):
        """The link's first event of that kind, if it comes in time."""
        return self.pair.link.wait_for(condition, time.monotonic() + patience)

    def finish(self) -> tuple[Flow, Flow]:
        """What the sharing and the connecting end have seen when both have ended."""
        ends = [self._client, self._server]
        for end in ends:
            end.end()
        link, share = (end.report() for end in ends)
        return share, link

    def end(self) -> None:
        self.pair.end()


def damage(share: Flow, link: Flow) -> str:
    """What is wrong with the bytes; nothing where each arrived once and in its place."""
    for name, flow, sent in (("share", share, link.sent), ("link", link, share.sent)):
        if flow.wrong is not None:
            return f"the {name} got a wrong byte at {flow.wrong}"
        if flow.error or not flow.ended:
            return f"the {name}'s stream broke: {flow.error or 'no end'}"
        if flow.received != sent:
            return f"the {name} got {flow.received} of {sent} bytes"
        if not flow.received:
            return f"the {name} got nothing"
    return ""
