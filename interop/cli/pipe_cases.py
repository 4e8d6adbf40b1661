"""Standard input and output joined to a peer's by `qtun pipe`."""

import hashlib
import os
import pathlib
import signal
import subprocess

from cli.group import Group
from cli.sockets import echo, pattern
from cli.stage import Stage, end, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("pipe")
MIB = 1 << 20


def _wait(stage: Stage, redirection: str) -> tuple[Process, str]:
    """The side that waits, and its ticket."""
    file = stage.temporary / "ticket"
    process = stage.start(
        "pipe", "--listen", "127.0.0.1:0", "--ticket-file", file, redirection=redirection)
    require(bool(process.wait_for(file.exists, seconds=20)), "no ticket was written")
    mode = file.stat().st_mode & 0o777
    require(mode == 0o600, f"the ticket has mode {mode:o}")
    return process, file.read_text().strip()


def _both_end(*processes: Process, status: int = 0, seconds: float = 20) -> None:
    for process in processes:
        ended = process.wait(seconds)
        require(ended == status, f"{process.name} ended with {ended} instead of {status}")


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@GROUP.case("files-both-ways", seconds=60)
def _files(stage: Stage) -> None:
    """Files at both ends, which epoll(7) does not take; sizes that are no round numbers."""
    names = ["a", "b", "from-a", "from-b"]
    one, two, from_one, from_two = (stage.temporary / name for name in names)
    one.write_bytes(pattern(21, 30_000_001))
    two.write_bytes(pattern(22, 777))
    waiting, ticket = _wait(stage, f"<{one} >{from_two}")
    connecting = stage.start("pipe", ticket, redirection=f"<{two} >{from_one}")
    _both_end(waiting, connecting)
    require(_digest(one) == _digest(from_one), "the large file differs")
    require(from_two.read_bytes() == two.read_bytes(), "the small file differs")
    require(not (stage.temporary / "ticket").exists(), "the ticket is left behind")


@GROUP.case("one-gigabyte", seconds=180, alone=True)
def _gigabyte(stage: Stage) -> None:
    """Through pipes at both ends, with the same digest."""
    script = "import hashlib,sys\nfor n in range(1024): sys.stdout.buffer.write(" \
        "hashlib.shake_128(n.to_bytes(4,'big')).digest(1<<20))"
    count, value = 1024, hashlib.sha256()
    for number in range(count):
        value.update(hashlib.shake_128(number.to_bytes(4, "big")).digest(MIB))
    result = stage.temporary / "digest"
    reader, writer = stage.temporary / "in", stage.temporary / "out"
    for fifo in [reader, writer]:
        os.mkfifo(fifo)
    source = subprocess.Popen(["sh", "-c", f'exec python3 -c "$1" >{reader}', "sh", script])
    sink = subprocess.Popen(["sh", "-c", f"exec sha256sum <{writer} >{result}"])
    try:
        waiting, ticket = _wait(stage, f"<{reader} >/dev/null")
        connecting = stage.start("pipe", ticket, redirection=f"</dev/null >{writer}")
        _both_end(waiting, connecting, seconds=150)
        sink.wait(10)
    finally:
        source.kill()
        sink.kill()
    require(result.read_text().split()[0] == value.hexdigest(), "the digest differs")


@GROUP.case("ticket-on-standard-error")
def _on_standard_error(stage: Stage) -> None:
    waiting = stage.start("pipe", "--listen", "127.0.0.1:0", "-q", redirection="</dev/null")
    require_line(waiting, "^qtun1[a-z2-7]+$")
    ticket = next(
        line for line in waiting.errors().splitlines() if line.startswith("qtun1"))
    connecting = stage.start(
        "pipe", "-", redirection=f"<<END\n{ticket}\nhello\nEND\n")
    _both_end(waiting, connecting)
    require(waiting.output() == "hello\n", f"standard output: {waiting.output()!r}")


@GROUP.case("half-close")
def _half_close(stage: Stage) -> None:
    """The end of one direction does not end the other."""
    fifo, out = stage.temporary / "fifo", stage.temporary / "out"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    waiting, ticket = _wait(stage, f"<{fifo} >/dev/null")
    connecting = stage.start("pipe", ticket, redirection=f"</dev/null >{out}")
    writer = os.open(fifo, os.O_WRONLY)
    require_line(waiting, "connected")
    require(connecting.wait(1) is None, "the end of input ended the pipe")
    os.write(writer, b"late")
    os.close(writer)
    os.close(keeper)
    _both_end(waiting, connecting)
    require(out.read_bytes() == b"late", "the bytes differ")


@GROUP.case("peer-killed")
def _killed(stage: Stage) -> None:
    """A peer that vanishes before the end is not taken for an end."""
    fifo = stage.temporary / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    waiting, ticket = _wait(stage, f"<{fifo} >/dev/null")
    connecting = stage.start(
        "pipe", ticket, "--idle-timeout", "2s", redirection=f"<{fifo} >/dev/null")
    require_line(connecting, "connected")
    end(waiting, signal.SIGKILL)
    _both_end(connecting, status=9)
    require_text(connecting.errors(), "the session was lost before both directions had ended")
    os.close(keeper)


@GROUP.case("ended-by-signal")
def _signal(stage: Stage) -> None:
    """One side says that it was ended, the other that it was cut off."""
    fifo = stage.temporary / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    waiting, ticket = _wait(stage, f"<{fifo} >/dev/null")
    connecting = stage.start("pipe", ticket, redirection="</dev/null >/dev/null")
    require_line(connecting, "connected")
    require(end(waiting, signal.SIGTERM) == 9, f"ended with {waiting.status}")
    _both_end(connecting, status=9)
    os.close(keeper)


@GROUP.case("reader-gone")
def _reader_gone(stage: Stage) -> None:
    source = stage.temporary / "source"
    source.write_bytes(pattern(23, 5 * MIB))
    waiting, ticket = _wait(stage, f"<{source} >/dev/null")
    connecting = stage.start("pipe", ticket, redirection="</dev/null | head -c 1 >/dev/null")
    require(waiting.wait(20) == 9, f"ended with {waiting.status}")
    require_text(waiting.errors(), "the peer broke the pipe off")
    require_line(connecting, "the reader of standard output is gone")


@GROUP.case("second-peer-refused")
def _second(stage: Stage) -> None:
    fifo, out = stage.temporary / "fifo", stage.temporary / "out"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    waiting, ticket = _wait(stage, f"<{fifo} >{out}")
    first = stage.start("pipe", ticket, redirection=f"<{fifo} >/dev/null")
    require_line(first, "connected")
    waiting.wait_for(lambda: waiting.errors().count("connected") == 1)
    second = stage.run("pipe", ticket, redirection="</dev/null >/dev/null", status=4)
    require_text(second.errors(), "the other end of the pipe is taken")
    require(first.wait(0.2) is None and waiting.wait(0.2) is None, "the pipe was disturbed")
    os.close(keeper)


@GROUP.case("to-a-share")
def _to_a_share(stage: Stage) -> None:
    """A pipe to an ordinary service, as with netcat."""
    share = stage.share(stage.service(echo).port)
    process = stage.run("pipe", "-", redirection=f"<<END\n{share.ticket}\necho me\nEND\n")
    require(process.output() == "echo me\n", f"standard output: {process.output()!r}")
