"""A qtun that runs, and what it says: lines on its output, events in its log."""

import calendar
import json
import subprocess
import threading
import time
from collections.abc import Callable

from lab.internet import Internet, Node


class Lines:
    """What a program writes, line by line, as soon as it is there."""

    def __init__(self, stream) -> None:
        self._lines: list[str] = []
        self._is_over = False
        self._news = threading.Condition()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream) -> None:
        for line in stream:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def wait(self, condition: Callable[[list[str]], bool], deadline: float) -> bool:
        """Whether the lines fulfil it before the monotonic time `deadline`."""
        with self._news:
            while not condition(self._lines):
                left = deadline - time.monotonic()
                if left <= 0 or self._is_over:
                    return False
                self._news.wait(left)
            return True

    def first(self, part: str, patience: float) -> str | None:
        """The first line that has `part` in it."""
        deadline = time.monotonic() + patience
        if not self.wait(lambda lines: any(part in line for line in lines), deadline):
            return None
        return next(line for line in self.all() if part in line)

    def all(self) -> list[str]:
        with self._news:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(self.all())


class Event:
    """One line of the log."""

    def __init__(self, line: str) -> None:
        entry = json.loads(line)
        seconds, _, rest = entry["ts"].rstrip("Z").partition(".")
        # Of the clock that time.time() reads.
        self.time = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{rest}")
        self.message = entry["message"]
        self.fields = entry.get("fields", {})

    @property
    def is_direct(self) -> bool:
        """The session is on a direct path of UDP."""
        return (
            self.message in ("connected", "moved")
            and self.fields.get("path", "").startswith("direct udp"))


class Program:
    """A qtun in a node, which logs as JSON."""

    def __init__(self, net: Internet, node: Node, qtun: str, folder: str, *words: str) -> None:
        self.started = time.time()
        self.process = net.start(
            node,
            ["env", f"XDG_RUNTIME_DIR={folder}", qtun, *words, "-v", "--log-format", "json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._output, self._errors = Lines(self.process.stdout), Lines(self.process.stderr)

    def first_line(self, patience: float = 20) -> str:
        """What it prints first."""
        if not self._output.wait(bool, time.monotonic() + patience):
            raise OSError(f"qtun printed nothing: {self.log[-500:]}")
        return self._output.all()[0]

    def events(self) -> list[Event]:
        return [Event(line) for line in self._errors.all() if line.startswith('{"ts"')]

    def wait_for(self, wanted: Callable[[Event], bool], deadline: float) -> Event | None:
        """The first event of that kind, if it comes before the monotonic time `deadline`."""
        found: list[Event] = []
        looked = 0

        def look(lines: list[str]) -> bool:
            nonlocal looked
            for line in lines[looked:]:
                looked += 1
                if line.startswith('{"ts"') and wanted(event := Event(line)):
                    found.append(event)
                    return True
            return False

        self._errors.wait(look, deadline)
        return found[0] if found else None

    def end(self) -> None:
        """Asks it to end, and makes it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return "\n".join(self._errors.all())
