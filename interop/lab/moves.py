"""Sessions that change their roads under load, over a bad link, with the real program.

    unshare -n python3 interop/lab/moves.py .build/release/qtun [--long] [CASE]...

The quick form belongs to `make test`; the long form takes about five minutes. Every byte is checked,
and every case prints its figures.
"""

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from bad_link import BadLink, Namespace, Unavailable, link_program

SEED = int(os.environ.get("QTUN_SEED", "1"))
PATTERN = bytes((i * 131 + (i >> 8) * 7) & 0xFF for i in range(1 << 16))
PORT, ENTRANCE = 7_000, 7_001
# Both ends of the flows run in the namespaces; they report on stdout.
ECHO = f"""
import asyncio
async def serve(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError: pass
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", {PORT}, backlog=256)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
# Flows that send a known stream and check its echo, until stdin ends. Each prints its longest wait.
FLOWS = f"""
import asyncio, json, sys, time
PATTERN = bytes((i * 131 + (i >> 8) * 7) & 0xFF for i in range(1 << 16)) * 2
flows, chunk, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
state = {{"stop": False, "gap": [0.0] * flows, "bytes": [0] * flows, "lost": []}}
async def flow(number):
    reader, writer = await asyncio.open_connection("127.0.0.1", {ENTRANCE})
    offset, last = number * 977, time.monotonic()
    try:
        while not state["stop"]:
            begin = offset % 65536
            piece = PATTERN[begin:begin + chunk]
            writer.write(piece)
            got = 0
            while got < chunk:
                data = await asyncio.wait_for(reader.read(chunk - got), 30)
                if not data: raise ConnectionError("ended")
                if data != piece[got:got + len(data)]: raise ValueError(f"wrong byte near {{offset}}")
                now = time.monotonic()
                state["gap"][number] = max(state["gap"][number], now - last)
                last, got = now, got + len(data)
            offset += chunk
            state["bytes"][number] += chunk
            await asyncio.sleep(pause)
            last = time.monotonic()
        writer.write_eof()
        if await asyncio.wait_for(reader.read(), 30): raise ValueError("more than was sent")
        writer.close()
    except Exception as error:
        state["lost"].append(f"flow {{number}}: {{error!r}}")
async def main():
    tasks = [asyncio.create_task(flow(n)) for n in range(flows)]
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line == "forget\\n": state["gap"] = [0.0] * flows
        print(json.dumps({{k: state[k] for k in ("gap", "bytes", "lost")}}), flush=True)
    state["stop"] = True
    await asyncio.gather(*tasks)
    print(json.dumps({{k: state[k] for k in ("gap", "bytes", "lost")}}), flush=True)
asyncio.run(main())
"""


class Failure(Exception):
    """A bar or a byte was wrong."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Failure(text)


class Stage:
    """A link, a share at B and what connects to it at A; ends everything that it started."""

    def __init__(self, qtun: str, folder: pathlib.Path, *lines: str) -> None:
        self.qtun, self.folder = qtun, folder
        self._stack = contextlib.ExitStack()
        self.link = self._stack.enter_context(BadLink(link_program(qtun), SEED, *lines))

    def start(self, place: Namespace, name: str, *words: str, **options) -> subprocess.Popen:
        environment = dict(os.environ, QTUN_IDENTITY=str(self.folder / f"{name}.key"))
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | options
        process = subprocess.Popen(
            place.command(*words), env=environment,
            stderr=open(self.folder / f"{name}.log", "wb"), **settings)
        self._stack.callback(self._end, process)
        return process

    @staticmethod
    def _end(process: subprocess.Popen) -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def echo(self) -> None:
        """The service that flows talk to."""
        echo = self.start(self.link.b, "echo", sys.executable, "-c", ECHO)
        require(echo.stdout.readline() == b"ready\n", "the echo service does not start")

    def tunnel(self, *options: str) -> subprocess.Popen:
        share = self.start(
            self.link.b, "share", self.qtun, "share", f"127.0.0.1:{PORT}", "--log-format", "json")
        ticket = share.stdout.readline().decode().strip()
        connect = self.start(
            self.link.a, "connect", self.qtun, "connect", ticket, f"127.0.0.1:{ENTRANCE}",
            "--log-format", "json", *options)
        require(connect.stdout.readline() != b"", "connect gave no address: " + self.log("connect"))
        return connect

    def flows(self, count: int, chunk: int, pause: float) -> "Flows":
        return Flows(self.start(
            self.link.a, "flows", sys.executable, "-c", FLOWS, str(count), str(chunk), str(pause),
            stdin=subprocess.PIPE))

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _moved(self) -> list[dict]:
        events = [json.loads(line) for line in self.log("connect").splitlines() if line[:1] == "{"]
        return [e["fields"] for e in events if e.get("message") == "moved"]

    def moves(self) -> list[str]:
        return [fields["path"] for fields in self._moved()]

    def move_count(self) -> int:
        """Also those that the log held back."""
        return sum(1 + fields.get("suppressed", 0) for fields in self._moved())

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Flows:
    """The flows of one process."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def ask(self, line: str) -> dict:
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def finish(self) -> dict:
        self._process.stdin.close()
        report = json.loads(self._process.stdout.readline())
        require(not report["lost"], "; ".join(report["lost"][:3]))
        require(min(report["bytes"]) > 0, "a flow moved nothing")
        return report


def wait_for(what: str, seconds: float, condition) -> float:
    start = time.monotonic()
    while not condition():
        require(time.monotonic() - start < seconds, f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - start


def switches(qtun: str, folder: pathlib.Path, is_long: bool) -> str:
    """Forced moves between UDP and TCP at 40 ms RTT, under load; no flow waits long."""
    wanted = 200 if is_long else 8
    with Stage(qtun, folder, "delay 20ms") as stage:
        stage.echo()
        stage.tunnel("--carrier-cycle", "400ms")
        flows = stage.flows(10, 1024, 0.005)
        wait_for("first moves", 20, lambda: stage.move_count() >= 2)
        flows.ask("forget")
        before, worst = stage.move_count(), []
        start = time.monotonic()
        while stage.move_count() - before < wanted:
            require(time.monotonic() - start < wanted * 2, "the session does not move")
            time.sleep(1)
            worst.append(max(flows.ask("look")["gap"]))
            flows.ask("forget")
        moved, seconds = stage.move_count() - before, time.monotonic() - start
        total = flows.finish()
        median = sorted(worst)[len(worst) // 2]
        # On a busy machine the flows themselves stall; the bar is for the long form on a quiet one.
        require(max(worst) < (0.2 if is_long else 1.0), f"{moved} moves, a flow waited {worst} s")
    return (f"{moved} moves in {seconds:.1f} s, 10 flows, {sum(total['bytes']) >> 10} KiB checked, "
            f"longest stall {max(worst) * 1000:.0f} ms (median of seconds {median * 1000:.0f}) "
            "at 40 ms RTT")


RESET = ("table inet lab { chain output { type filter hook output priority 0; "
         "oif linka meta l4proto tcp reject with tcp reset; "
         "}; chain input { type filter hook input priority 0; "
         "iif linka meta l4proto tcp reject with tcp reset; }; }")


def resets(qtun: str, folder: pathlib.Path, is_long: bool) -> str:
    """The TCP carrier is reset at both ends, again and again; UDP does not pass at all."""
    rounds = 12 if is_long else 1
    with Stage(qtun, folder, "delay 5ms", "udp blackhole on") as stage:
        stage.echo()
        stage.tunnel()
        flows = stage.flows(20, 4096, 0.01)
        killed = 0
        for _ in range(rounds):
            time.sleep(5 if is_long else 2)
            stage.link.a.run("nft", "-f", "-", input=RESET)
            time.sleep(0.1)
            stage.link.a.run("nft", "delete", "table", "inet", "lab")
            killed += 1
        time.sleep(3)
        report = flows.finish()
    return (f"{killed} resets, 20 flows, {sum(report['bytes']) >> 10} KiB checked, longest stall "
            f"{max(report['gap']):.2f} s")


def pipe(qtun: str, folder: pathlib.Path, is_long: bool) -> str:
    """`qtun pipe` of random data while UDP is killed and restored in the middle."""
    size = 1_000_000_000 if is_long else 30_000_000
    source, target = folder / "source", folder / "target"
    digest = hashlib.sha256()
    with open(source, "wb") as file:
        for _ in range(size // 1_000_000):
            block = os.urandom(1_000_000)
            digest.update(block)
            file.write(block)
    with Stage(qtun, folder, "delay 2ms", "rate 400mbit", "queue 1M") as stage:
        file = open(target, "wb")
        wait = stage.start(
            stage.link.b, "wait", qtun, "pipe", "--ticket-file", str(folder / "ticket"), stdout=file)
        wait_for("ticket", 10, lambda: (folder / "ticket").exists() and
                 (folder / "ticket").read_text().endswith("\n"))
        ticket = (folder / "ticket").read_text().strip()
        send = stage.start(
            stage.link.a, "connect", qtun, "pipe", ticket, "--log-format", "json",
            stdin=open(source, "rb"), stdout=subprocess.DEVNULL)
        wait_for("a tenth", 60, lambda: target.stat().st_size > size / 10)
        stage.link.tell("udp blackhole on")
        gone = wait_for("over TCP", 10, lambda: any("tcp" in path for path in stage.moves()))
        wait_for("two thirds", 300, lambda: target.stat().st_size > size * (0.6 if is_long else 0.3))
        stage.link.tell("udp blackhole off")
        codes = send.wait(300), wait.wait(60)
        file.close()
        require(codes == (0, 0), f"exit codes {codes}: " + stage.log("connect")[-300:])
        with open(target, "rb") as file:
            require(hashlib.file_digest(file, "sha256").digest() == digest.digest(), "other bytes")
        moves = [path.split()[1] for path in stage.moves()]
    return f"{size / 1e6:.0f} MB, same SHA-256, exit 0; over TCP after {gone:.1f} s; moves {moves}"


CASES = {"switches": switches, "resets": resets, "pipe": pipe}


def play(part: str, cases: dict[str, Callable[[pathlib.Path], str]]) -> int:
    """Runs each case in a folder of its own and prints what it says; the status to exit with."""
    failed = 0
    for name, case in cases.items():
        with tempfile.TemporaryDirectory(prefix="qtun-lab-") as folder:
            try:
                print(f"ok    {part}: {name}: {case(pathlib.Path(folder))}", flush=True)
            except Unavailable as error:
                print(f"skip  {part}  {error}\n0 passed, 0 failed, {len(cases)} skipped")
                return 0
            except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"FAIL  {part}: {name} (seed {SEED}): {error!r}", flush=True)
                for log in sorted(pathlib.Path(folder).glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}")
    print(f"{len(cases) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


def main() -> int:
    qtun, is_long = os.path.abspath(sys.argv[1]), "--long" in sys.argv
    chosen = [word for word in sys.argv[2:] if word in CASES] or list(CASES)
    return play("moves", {
        name: functools.partial(CASES[name], qtun, is_long=is_long) for name in chosen})


if __name__ == "__main__":
    sys.exit(main())
