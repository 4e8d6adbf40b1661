"""One child process."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import time

SECONDS_MAX = 30
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Has the system send this process a signal when the thread that started it is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal_number)


def _prepare() -> None:
    die_with_parent()
    # Below nohup it is ignored, which every program would inherit.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Process:
    """A program that was started, with its output in two files."""

    def __init__(
        self, name: str, arguments: list[str], environment: dict[str, str],
        output: pathlib.Path, errors: pathlib.Path,
    ) -> None:
        self.name = name
        self._output = output
        self._errors = errors
        # A crash shall end the process at once, not after a minute of symbolication.
        inherited = {"PATH": os.environ.get("PATH", ""), "SWIFT_BACKTRACE": "enable=no"}
        with output.open("wb") as out, errors.open("wb") as err:
            self._child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                # Even when the test run itself is killed, no peer stays behind.
                env=inherited | environment, preexec_fn=_prepare)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._child.poll()

    @property
    def is_running(self) -> bool:
        return self.status is None

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def descriptor_count(self) -> int:
        """How many file descriptors it holds open."""
        return len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def descriptors(self) -> list[str]:
        """What its file descriptors are, for a message about one too many."""
        found = []
        for link in sorted(pathlib.Path(f"/proc/{self.pid}/fd").iterdir(), key=lambda one: int(one.name)):
            with contextlib.suppress(OSError):  # it was closed meanwhile
                found.append(f"{link.name}={os.readlink(link)}")
        return found

    @property
    def processor_seconds(self) -> float:
        """The processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        """The memory that is resident now (VmRSS)."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    def facts(self) -> list[dict]:
        """What one of our peers printed: one JSON object per line."""
        return [json.loads(line) for line in self.output().splitlines()]

    def wait(self, seconds: float = SECONDS_MAX) -> int | None:
        """The exit status, or None if it still runs after this time."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wait_for(self, found, seconds: float = SECONDS_MAX):
        """Polls until `found()` is true and returns its value; None if that does not happen."""
        deadline = time.monotonic() + seconds
        while True:
            value = found()
            if value:
                return value
            if not self.is_running or time.monotonic() > deadline:
                return found() or None
            time.sleep(0.01)

    def send(self, signal_number: int) -> None:
        """Sends a signal and does not wait for what comes of it."""
        self._child.send_signal(signal_number)

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Ends it; harmless when it is over."""
        if self.is_running:
            self._child.send_signal(signal_number)
        if self.wait(5) is None:
            self._child.kill()
            self._child.wait()
