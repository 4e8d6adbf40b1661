"""Two network namespaces and a bad link between them, for laboratory cases.

Everything hangs on this process: the namespaces live as long as a child that waits on a pipe from
here, and `qtun-link` ends with its stdin. So nothing stays behind, whatever happens.
"""

import json
import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ADDRESS_A, ADDRESS_B = "10.99.0.1", "10.99.0.2"
ADDRESS_A6, ADDRESS_B6 = "fd00:99::1", "fd00:99::2"


class Unavailable(Exception):
    """What a laboratory needs is missing here."""


def link_program(qtun: str) -> str:
    """qtun-link from the folder of the qtun that is tested."""
    program = pathlib.Path(qtun).resolve().parent / "qtun-link"
    if not program.exists():
        raise Unavailable(f"{program} is not built")
    return str(program)


def finish(process: subprocess.Popen) -> None:
    """Waits for a program whose standard input was closed, and not for ever."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Namespace:
    """A network namespace that ends with this process."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo ready; exec cat >/dev/null"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._holder.stdout.readline() != b"ready\n":
            raise Unavailable("no network namespace may be made here")
        self.pid = self._holder.pid
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` there."""
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    def run(self, *words: str, input: str | None = None) -> str:
        done = subprocess.run(
            self.command(*words), input=input, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        self._holder.stdin.close()
        finish(self._holder)
        self._holder.stdout.close()


class BadLink:
    """`a` (10.99.0.1) and `b` (10.99.0.2), and `qtun-link` between them; `tell` changes it."""

    def __init__(self, program: str, seed: int, *lines: str, mtu: int = 1500) -> None:
        self.a = self.b = None
        self._process = subprocess.Popen(
            [program, "linka", "linkb", str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, bufsize=1)
        try:
            if self._process.stdout.readline() != "ready\n":
                raise Unavailable(self._process.stderr.read().strip())
            self.a, self.b = Namespace(), Namespace()
            for end, name, address, address6 in (
                (self.a, "linka", ADDRESS_A, ADDRESS_A6), (self.b, "linkb", ADDRESS_B, ADDRESS_B6),
            ):
                subprocess.run(
                    ["ip", "link", "set", name, "netns", str(end.pid)], check=True)
                end.run("ip", "address", "add", f"{address}/24", "dev", name)
                end.run("ip", "address", "add", f"{address6}/64", "dev", name, "nodad")
                # The kernel keeps 500 packets until they are read, which is less than one burst.
                end.run("ip", "link", "set", name, "mtu", str(mtu), "txqueuelen", "10000", "up")
            self.tell(*lines)
        except BaseException:
            self.close()
            raise

    def tell(self, *lines: str) -> None:
        """Each line changes the link; see interop/README.md."""
        for line in lines:
            answer = self._ask(line)
            if answer != "ok":
                raise ValueError(f"{line}: {answer}")

    def counters(self) -> dict[str, dict[str, int]]:
        """What became of the packets, by direction (`a>b`, `b>a`)."""
        return json.loads(self._ask("stats"))

    def _ask(self, line: str) -> str:
        self._process.stdin.write(line + "\n")
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.stdin.close()
        finish(self._process)
        self._process.stdout.close()
        self._process.stderr.close()
        for end in (self.a, self.b):
            if end:
                end.close()

    def __enter__(self) -> "BadLink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
