"""What a session does while UDP is taken away and given back, with the real program.

Runs in a network namespace of its own (`unshare -Urn` or `-n`), where a packet filter can drop UDP
without touching the machine. Fifty TCP flows carry bytes that both ends know, and a UDP flow asks and is
answered every 20 ms; every byte is checked, and the longest time without progress is measured.

    unshare -Urn python3 interop/lab/udp_blocked.py .build/release/qtun
"""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

FLOWS = 50
CHUNK = 4096
PATTERN = bytes((i * 131 + (i >> 8) * 7) & 0xFF for i in range(1 << 16))
# What local programs say to the tunnel's ends is not what the test takes away.
FILTER = """table inet lab {{
    set programs {{ type inet_service; elements = {{ {} }} }}
    chain input {{
        type filter hook input priority 0
        udp dport @programs accept
        udp sport @programs accept
        meta l4proto udp drop
    }}
}}"""


class Failure(Exception):
    """A bar or a byte was wrong."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Failure(text)


def block_udp(*programs: int) -> None:
    ports = ", ".join(map(str, programs or [1]))
    subprocess.run(["nft", "-f", "-"], input=FILTER.format(ports).encode(), check=True)


def open_udp() -> None:
    subprocess.run(["nft", "delete", "table", "inet", "lab"], check=True)


class Tunnel:
    """A share and a connect, each a process with a home of its own."""

    def __init__(self, qtun: str, folder: pathlib.Path, *options: str) -> None:
        self._qtun, self._folder, self._options = qtun, folder, options
        self._processes: list[subprocess.Popen] = []
        self.connected_after = 0.0

    def _start(self, name: str, *arguments: str) -> subprocess.Popen:
        environment = dict(os.environ, QTUN_IDENTITY=str(self._folder / f"{name}.key"))
        process = subprocess.Popen(
            [self._qtun, *arguments, "--log-format", "json"], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=open(self._folder / f"{name}.log", "wb"))
        self._processes.append(process)
        return process

    def open(self, port: int, datagram_port: int) -> tuple[int, int]:
        """Shares a TCP and a UDP service; the ports that they are opened at."""
        share = self._start(
            "share", "share", f"bytes=127.0.0.1:{port}", f"datagrams=udp:127.0.0.1:{datagram_port}")
        ticket = share.stdout.readline().decode().strip()
        start = time.monotonic()
        connect = self._start("connect", "connect", ticket, "bytes=0", "datagrams=0", *self._options)
        addresses = [connect.stdout.readline().decode().strip() for _ in range(2)]
        require(all(addresses), "connect gave no address: " + self.log("connect"))
        self.connected_after = time.monotonic() - start
        return tuple(int(address.rsplit(":", 1)[1]) for address in addresses)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def moves(self) -> list[str]:
        events = [json.loads(line) for line in self.log("connect").splitlines() if line[:1] == "{"]
        return [e["fields"]["path"] for e in events if e.get("message") in ("connected", "moved")]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what it gets."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        pass


class Echo(asyncio.DatagramProtocol):
    """A UDP service that sends back what it gets."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address) -> None:
        self._transport.sendto(data, address)


class Questions(asyncio.DatagramProtocol):
    """Asks every 20 ms, and notes the longest time without an answer."""

    def __init__(self) -> None:
        self.asked = self.answered = 0
        self.longest = 0.0
        self.wrong: bytes | None = None
        self._last = time.monotonic()

    @staticmethod
    def question(number: int) -> bytes:
        # Every tenth is larger than a packet.
        return number.to_bytes(4, "big") + PATTERN[number:number + (4000 if number % 10 == 0 else 200)]

    def datagram_received(self, data: bytes, _) -> None:
        if data != self.question(int.from_bytes(data[:4], "big")):
            self.wrong = data
        self.answered += 1
        self._note()

    def _note(self) -> None:
        now = time.monotonic()
        self.longest, self._last = max(self.longest, now - self._last), now

    async def ask(self, port: int, until: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=("127.0.0.1", port))
        while not until.is_set():
            transport.sendto(self.question(self.asked))
            self.asked += 1
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        transport.close()
        require(self.wrong is None, f"a wrong answer of {len(self.wrong or b'')} bytes")


async def serve_datagrams() -> tuple[asyncio.DatagramTransport, int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Echo, local_addr=("127.0.0.1", 0))
    return transport, transport.get_extra_info("sockname")[1]


async def flow(port: int, number: int, until: asyncio.Event, gaps: list[float]) -> int:
    """Sends a known stream, checks the echo, and notes the longest wait for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    offset, last = number * 977, time.monotonic()
    start = offset
    while not until.is_set():
        begin = offset % len(PATTERN)
        piece = (PATTERN + PATTERN)[begin:begin + CHUNK]
        writer.write(piece)
        await writer.drain()
        echo = await asyncio.wait_for(reader.readexactly(len(piece)), 20)
        require(echo == piece, f"wrong byte in flow {number} near {offset}")
        now = time.monotonic()
        gaps[number] = max(gaps[number], now - last)
        last, offset = now, offset + len(piece)
        await asyncio.sleep(0.005)
    writer.write_eof()
    require(await reader.read() == b"", f"flow {number} got more than it sent")
    writer.close()
    return offset - start


async def wait_for(what: str, seconds: float, condition) -> float:
    start = time.monotonic()
    while not condition():
        require(time.monotonic() - start < seconds, f"{what}: not within {seconds} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def midway(qtun: str, folder: pathlib.Path) -> str:
    service = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 17)
    datagrams, target = await serve_datagrams()
    questions = Questions()
    tunnel = Tunnel(qtun, folder)
    try:
        port, datagram_port = tunnel.open(service.sockets[0].getsockname()[1], target)
        until, gaps = asyncio.Event(), [0.0] * FLOWS
        flows = [asyncio.create_task(flow(port, n, until, gaps)) for n in range(FLOWS)]
        asking = asyncio.create_task(questions.ask(datagram_port, until))
        await asyncio.sleep(1)
        require("udp" in tunnel.moves()[-1], "did not begin over UDP")
        gaps[:] = [0.0] * FLOWS
        require(questions.answered > 20, f"{questions.answered} answers in a second")
        block_udp(target, datagram_port)
        moved = await wait_for("over TCP", 2.5, lambda: "tcp" in tunnel.moves()[-1])
        await asyncio.sleep(3)
        longest = max(gaps)
        open_udp()
        back = await wait_for("back on UDP", 30, lambda: "udp" in tunnel.moves()[-1])
        await asyncio.sleep(1)
        until.set()
        total = sum(await asyncio.gather(*flows))
        await asking
        require(longest < 2.5, f"longest gap {longest:.2f} s")
        require(questions.longest < 2.5, f"longest gap of the UDP flow {questions.longest:.2f} s")
    finally:
        tunnel.close()
        service.close()
        datagrams.close()
    return (f"{FLOWS} flows, {total >> 10} KiB checked; over TCP after {moved:.2f} s, longest gap "
            f"{longest:.2f} s, back on UDP {back:.1f} s after it passed; UDP flow: longest gap "
            f"{questions.longest:.2f} s, {questions.answered} of {questions.asked} answered")


async def from_start(qtun: str, folder: pathlib.Path) -> str:
    service = await asyncio.start_server(serve, "127.0.0.1", 0)
    tunnel = Tunnel(qtun, folder)
    block_udp()
    try:
        port, _ = tunnel.open(service.sockets[0].getsockname()[1], 9)
        require("tcp" in tunnel.moves()[-1], "not over TCP")
        require(tunnel.connected_after < 1.5, f"connected after {tunnel.connected_after:.2f} s")
        until, gaps = asyncio.Event(), [0.0]
        task = asyncio.create_task(flow(port, 0, until, gaps))
        await asyncio.sleep(0.5)
        until.set()
        total = await task
    finally:
        tunnel.close()
        service.close()
        open_udp()
    return f"connected after {tunnel.connected_after:.2f} s, {total >> 10} KiB checked"


def main() -> int:
    qtun = os.path.abspath(sys.argv[1])
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
        subprocess.run(["nft", "list", "tables"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skip  udp blocked  no namespace with a packet filter here ({error})")
        print("0 passed, 0 failed, 2 skipped")
        return 0
    failed = 0
    for name, case in (("udp blocked from the start", from_start), ("udp blocked midway", midway)):
        with tempfile.TemporaryDirectory(prefix="qtun-lab-") as folder:
            try:
                print(f"ok    {name}: {asyncio.run(case(qtun, pathlib.Path(folder)))}", flush=True)
            except (Failure, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                failed += 1
                print(f"FAIL  {name}: {error!r}", flush=True)
                for log in sorted(pathlib.Path(folder).glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
    print(f"{2 - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
