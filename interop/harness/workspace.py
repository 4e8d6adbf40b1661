"""The temporary directory and the processes of one case."""

import contextlib
import pathlib
import random
import shutil
import signal
import socket
import tempfile
import zlib

from harness.process import Process

LOG_TAIL = 3000


class Workspace:
    """A directory that is removed, and processes that are ended, when the case is over."""

    def __init__(self, parent: str) -> None:
        self.path = pathlib.Path(tempfile.mkdtemp(dir=parent))
        self.www = self._directory("www")
        self.downloads = self._directory("downloads")
        self._processes: list[Process] = []

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *_) -> None:
        # A second Ctrl-C must not leave half of it behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            for process in self._processes:
                process.kill()
            shutil.rmtree(self.path, ignore_errors=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _directory(self, name: str) -> pathlib.Path:
        path = self.path / name
        path.mkdir()
        return path

    def start(self, name: str, arguments: list, environment: dict | None = None) -> Process:
        """Starts a program; its output goes to files in the workspace."""
        number = len(self._processes)
        process = Process(
            name, [str(argument) for argument in arguments], environment or {},
            self.path / f"{number}-{name}.out", self.path / f"{number}-{name}.err")
        self._processes.append(process)
        return process

    def make_files(self, sizes: dict[str, int]) -> list[str]:
        """Fills www with files of these sizes and bytes that are the same in every run."""
        for name, size in sizes.items():
            generator = random.Random(zlib.crc32(name.encode()))
            (self.www / name).write_bytes(generator.randbytes(size))
        return list(sizes)

    def differing_downloads(self, names: list[str]) -> list[str]:
        """The names whose download is not, byte for byte, the file that was served."""
        return [
            name for name in names
            if not (self.downloads / name).is_file()
            or (self.downloads / name).read_bytes() != (self.www / name).read_bytes()
        ]

    def logs(self) -> str:
        """The last words of every process, for a failure."""
        parts = []
        for process in self._processes:
            # Some say most when they are asked to end.
            process.kill(signal.SIGTERM)
            text = process.output() + process.errors()
            parts.append(f"--- {process.name}, exit status {process.status}\n{text[-LOG_TAIL:]}")
        return "\n".join(parts)


def free_port() -> int:
    """A port of 127.0.0.1 that UDP and TCP have free now, for programs that cannot pick one themselves."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
                return port


def is_bound(port: int) -> bool:
    """Whether somebody listens on this UDP port, as the kernel's tables say.

    Binding the port to find out would be in the way of whoever is about to.
    """
    wanted = f":{port:04X}"
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        try:
            with open(table, encoding="ascii") as lines:
                if any(line.split()[1].endswith(wanted) for line in list(lines)[1:]):
                    return True
        except FileNotFoundError:
            continue
    return False
