"""`qtun punch` on loopback: its flags, what it prints, and netpunch as the other side."""

import json
import re
import signal
import socket
import subprocess
import sys

from cli.group import Group
from cli.stage import Stage, require_text
from harness.process import Process
from harness.suite import Failure, require
from harness.workspace import free_port, is_bound

GROUP = Group("punch")
SECRET = "MORN"
LINE = (
    r"LADDR/LHOST/LPORT/RADDR/RHOST/RPORT: 127\.0\.0\.1:(\d+) 127\.0\.0\.1 \1 "
    r"127\.0\.0\.1:(\d+) 127\.0\.0\.1 \2\n")


class Trio:
    """A control node, and peers of it; each part is played by qtun or by the emulator."""

    def __init__(self, stage: Stage, control: str = "qtun", secret: str = SECRET) -> None:
        self._stage, self.secret = stage, secret
        self.port = free_port()
        self.control = self._start(control, "-local", f"127.0.0.1:{self.port}")
        require(
            bool(self.control.wait_for(lambda: is_bound(self.port))), "the control node is not up")

    def peer(self, program: str, letter: str, *words: str, secret: str | None = None) -> Process:
        return self._start(
            program, "-peer", letter, "-local", "127.0.0.1:0", "-remote",
            f"127.0.0.1:{self.port}", *words, secret=secret)

    def _start(self, program: str, *words: str, secret: str | None = None) -> Process:
        words = ("-secret", secret or self.secret, *words)
        if program == "qtun":
            return self._stage.start("punch", *words)
        emulator = self._stage.tools.interop / "peers" / "netpunch.py"
        return self._stage.workspace.start("netpunch", [sys.executable, emulator, *words])


def ports_of(process: Process) -> tuple[str, str]:
    """What a peer printed: its own port and its partner's."""
    require(process.wait(10) == 0, f"{process.name} ended with {process.status}")
    pattern = LINE if "qtun" in process.name else (
        r"started\nopen 127\.0\.0\.1:(\d+) 127\.0\.0\.1:(\d+) [\d.]+\n")
    found = re.fullmatch(pattern, process.output())
    require(found is not None, f"{process.name} printed {process.output()!r}")
    return found.group(1), found.group(2)


@GROUP.case("punch-vectors")
def _vectors(stage: Stage) -> None:
    """What our control node and peers put on the wire is what the emulator signs, byte by byte."""
    done = subprocess.run(
        [sys.executable, stage.tools.interop / "peers" / "netpunch.py", "-secret", SECRET, "-vectors"],
        capture_output=True, text=True, check=True)
    known = (stage.tools.interop / "peers" / "netpunch_vectors.txt").read_text()
    require(done.stdout == known, f"the emulator signs {done.stdout!r}")
    vectors = {line[41:]: line.encode() for line in known.splitlines()}
    trio = Trio(stage)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.bind(("127.0.0.1", 5000))
        udp.sendto(vectors["a"], ("127.0.0.1", trio.port))
        partner = trio.peer("qtun", "b", "-raw-logging")
        seen = [udp.recv(2048), udp.recv(2048)]  # the control node's word and the first ping
        require(vectors["x"] in seen, f"a peer pinged with {seen}")
        told = json.dumps(vectors["i|a|127.0.0.1:5000"].decode())[1:-1]
        require(
            bool(partner.wait_for(lambda: told in partner.errors())),
            f"the control node's word is not in {partner.errors()}")
        info = next(datagram for datagram in seen if b"|b|" in datagram).decode()
        address = ("127.0.0.1", int(info.rpartition(":")[2]))
        udp.sendto(vectors["x"], address)
        while (datagram := udp.recv(2048)) == vectors["x"]:
            pass
        require(datagram == vectors["y"], f"a ping was answered with {datagram}")
        udp.sendto(vectors["y"], address)
        closes = [d for d in (udp.recv(2048) for _ in range(5)) if d == vectors["z"]]
        require(len(closes) >= 4, f"a pong was answered with {len(closes)} z")
    require(partner.wait(5) == 0, f"the peer ended with {partner.status}")


def _meeting(control: str, first: str, second: str):
    def meet(stage: Stage) -> None:
        trio = Trio(stage, control)
        one = trio.peer(first, "c")
        two = trio.peer(second, "d")
        (a, b), (c, d) = ports_of(one), ports_of(two)
        require((a, b) == (d, c), f"{first} at {a} met {b}, {second} at {c} met {d}")

    def case(stage: Stage) -> None:
        try:
            meet(stage)
        except Failure:
            # Two peers of netpunch can miss each other's last word, and then sleep for 30 s.
            if (first, second) != ("netpunch", "netpunch"):
                raise
            meet(stage)
    return case


for _parts in [
    ("qtun", "qtun", "qtun"), ("qtun", "qtun", "netpunch"), ("qtun", "netpunch", "netpunch"),
    ("netpunch", "qtun", "qtun"), ("netpunch", "netpunch", "qtun"),
]:
    GROUP.case("punch-" + "-".join(part[0] for part in _parts))(_meeting(*_parts))


@GROUP.case("punch-sleeper")
def _sleeper(stage: Stage) -> None:
    """A netpunch that fell asleep is woken by our control node when its partner comes."""
    trio = Trio(stage)
    sleeper = trio.peer("netpunch", "a")
    require(sleeper.wait(1.5) is None, "it ended alone")
    late = trio.peer("netpunch", "b")
    require(late.wait(2) == 0 and sleeper.wait(2) == 0, "it was not woken within two seconds")


@GROUP.case("punch-command")
def _command(stage: Stage) -> None:
    """The program keeps the process id and the environment, binds the port, and sees no socket."""
    trio = Trio(stage)
    script = (
        "import os,socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        "s.bind((sys.argv[1],int(sys.argv[2])))\n"
        "fds=[int(f) for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/'+f)]\n"
        "extra=[f for f in fds if f>2 and f!=s.fileno()]\n"
        "print(os.getpid(),os.environ.get('QTUN_PUNCH_FD'),os.environ['HOME'],extra,sys.argv[3:])\n")
    first = trio.peer(
        "qtun", "a", "-template", "", "-command", sys.executable, "-raw", "-c", "-raw", script,
        "-fields", "{{.LocalIP}} {{.LocalPort}}", "-arg", "to {{.RemoteIP}}", "-raw", "{{.RemoteIP}}")
    second = trio.peer("qtun", "b")
    ports_of(second)
    require(first.wait(5) == 0, f"the program ended with {first.status}: {first.errors()}")
    expected = f"{first.pid} None {stage.home} [] ['to 127.0.0.1', '{{{{.RemoteIP}}}}']\n"
    require(first.output() == expected, f"the program saw {first.output()!r}, not {expected!r}")


@GROUP.case("punch-handover")
def _handover(stage: Stage) -> None:
    """With -handover the program finds the open socket: blocking, bound, ready to send."""
    trio = Trio(stage)
    script = (
        "import os,socket,sys\n"
        "s=socket.socket(fileno=int(os.environ['QTUN_PUNCH_FD']))\n"
        "s.sendto(b'hello',(sys.argv[1],int(sys.argv[2])))\n"
        "print(s.getsockname()[1],s.getblocking(),s.recv(100))\n")
    words = ["-command", sys.executable, "-raw", "-c", "-raw", script, "-handover", "-fields",
             "{{.RemoteIP}} {{.RemotePort}}"]
    peers = [trio.peer("qtun", letter, *words) for letter in "ab"]
    for peer in peers:
        require(peer.wait(5) == 0, f"the program ended with {peer.status}: {peer.errors()}")
        found = re.fullmatch(LINE + r"(\d+) True b'hello'\n", peer.output())
        require(found is not None and found.group(1) == found.group(3), peer.output())


@GROUP.case("punch-complaints")
def _complaints(stage: Stage) -> None:
    """Everything that is missing at once, on one line, with netpunch's exit statuses."""
    for words, status, parts in [
        ([], 1, ["secret", "-local"]),
        (["-peer", "aa"], 1, ["secret", "-local", "-remote", "letter"]),
        (["-secret", "s", "-local", ":0", "-remote", "h:1"], 1, ["-remote"]),
        (["-secret", "s", "-local", "0", "-template", "{{.X}}"], 1, ["{{.X}}"]),
        (["-secret", "s", "-local", "0"], 1, ["port"]),
        (["-secret-file", "/nonexistent", "-local", ":0"], 1, ["/nonexistent", "No such file"]),
        (["-secret", "zero107561566", "-local", ":0", "-peer", "a", "-remote", "h:1"], 1, ["sign"]),
        (["-secret", "s", "-local", "192.0.2.1:0"], 1, ["cannot listen"]),
        (["-nope"], 2, ["-nope"]),
    ]:
        process = stage.run("punch", *words, status=status)
        require(process.output() == "", f"stdout of {words}: {process.output()!r}")
        for part in parts:
            require_text(process.errors(), part)
        if status == 1:
            lines = process.errors().splitlines()
            require(len(lines) == 1 and lines[0].startswith("Error: "), f"{words}: {lines}")
    require_text(stage.run("punch", "-h").output(), "--secret-file")
    require_text(stage.run("punch", "-version").output(), "qtun ")


@GROUP.case("punch-secret-file")
def _secret_file(stage: Stage) -> None:
    """A newline at the end of the file is left out, which is said; -secret-file-exact keeps it."""
    path = stage.home / "secret"
    path.write_text("MORN\n")
    trio = Trio(stage)
    where = ["-local", "127.0.0.1:0", "-remote", f"127.0.0.1:{trio.port}", "-secret-file", path]
    first = stage.start("punch", "-peer", "a", *where)
    ports_of(trio.peer("qtun", "b"))
    require(first.wait(5) == 0, f"ended with {first.status}")
    require_text(first.errors(), "newline")
    exact = Trio(stage, "netpunch", secret="MORN\n")
    where[3] = f"127.0.0.1:{exact.port}"
    first = stage.start("punch", "-peer", "a", *where, "-secret-file-exact")
    ports_of(exact.peer("netpunch", "b"))
    require(first.wait(5) == 0, f"ended with {first.status}")


@GROUP.case("punch-wrong-secret")
def _wrong_secret(stage: Stage) -> None:
    """The control node says what is wrong and sends nothing."""
    trio = Trio(stage)
    peer = trio.peer("qtun", "a", secret="OTHER")
    said = trio.control.wait_for(lambda: "do the secrets differ?" in trio.control.errors(), 5)
    require(bool(said), "nothing is said about the secret")
    require("write:" not in trio.control.errors(), "the control node answered")
    require(peer.is_running, "the peer ended")


@GROUP.case("punch-hidden-secret")
def _hidden_secret(stage: Stage) -> None:
    """A secret on the command line is overwritten in the list of processes."""
    for form in (["-secret", "hunter2"], ["-secret=hunter2"], ["--secret=hunter2"]):
        port = free_port()
        process = stage.start("punch", *form, "-local", f"127.0.0.1:{port}")
        process.wait_for(lambda: is_bound(port))
        words = open(f"/proc/{process.pid}/cmdline", "rb").read()
        require(b"hunter2" not in words and b"punch" in words, f"the system shows {words}")


@GROUP.case("punch-signals")
def _signals(stage: Stage) -> None:
    """A signal ends either role with a line in netpunch's words and status 1."""
    trio = Trio(stage)
    peer = trio.peer("qtun", "a")
    peer.wait_for(lambda: "write:" in peer.errors())
    for process, number, name in [
        (peer, signal.SIGTERM, "terminated (0x0f)"), (trio.control, signal.SIGINT, "interrupt (0x02)"),
    ]:
        process.send(number)
        require(process.wait(5) == 1, f"ended with {process.status}")
        require_text(process.errors(), f"[info] Shutting down due to signal: {name}\n")
        require(process.errors().endswith("Error: context canceled\n"), process.errors())


@GROUP.case("punch-json")
def _json(stage: Stage) -> None:
    """-json prints one object, with the address that the system picks instead of n/a."""
    trio = Trio(stage)
    first = trio.peer("qtun", "a", "-local", ":0", "-json", "-silent")
    _, port = ports_of(trio.peer("qtun", "b"))
    require(first.wait(5) == 0, f"ended with {first.status}")
    result = json.loads(first.output())
    require(result["event"] == "open" and result["local"] == f"127.0.0.1:{port}", f"{result}")
    require(first.errors() == "", f"-silent said {first.errors()!r}")
