"""FIN and RST, by either side, before and after data, on each carrier at 40 ms round trip.

    unshare -n python3 interop/lab/endings.py .build/release/qtun [--long]

The bytes and the signal are always checked. The long form repeats each case, and holds the time of a
reset against its bar: one round trip and 50 ms.
"""

import dataclasses
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys

from moves import ENTRANCE, PORT, Stage, play, require

RTT_MS = 40
RESET_MS_MAX = RTT_MS + 50
SIZES = [0, 1, 100_000]
CARRIERS = ["udp", "tcp", "ws"]

# One end of a connection. Each line on stdin is one step, each answer one line on stdout. Both ends
# read the same clock: namespaces share it.
END = """
import json, socket, struct, sys, time
PATTERN = bytes((i * 131 + (i >> 8) * 7) & 0xFF for i in range(1 << 17))
listener = connection = None
for line in sys.stdin:
    step, *words = line.split()
    answer = {}
    if step == "listen":
        listener = socket.create_server(("127.0.0.1", int(words[0])))
    elif step == "connect":
        connection = socket.create_connection(("127.0.0.1", int(words[0])))
    elif step == "accept":
        connection, _ = listener.accept()
    elif step == "send":
        connection.sendall(PATTERN[:int(words[0])])
    elif step == "read":
        data = bytearray()
        while len(data) < int(words[0]):
            piece = connection.recv(1 << 16)
            if not piece: break
            data += piece
        answer["right"] = bytes(data) == PATTERN[:int(words[0])]
    elif step == "fin":
        connection.shutdown(socket.SHUT_WR)
    elif step == "rst":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer["at"] = time.monotonic()
        connection.close()
    elif step == "ending":
        try: answer["signal"] = "more" if connection.recv(1) else "FIN"
        except ConnectionResetError: answer["signal"] = "RST"
        answer["at"] = time.monotonic()
    elif step == "close":
        connection.close()
    print(json.dumps(answer), flush=True)
"""


class End:
    """One of the two programs that talk through the tunnel."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def begin(self, step: str) -> None:
        self._process.stdin.write(step.encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> dict:
        line = self._process.stdout.readline()
        require(line != b"", "an end of the connection stopped")
        return json.loads(line)

    def do(self, step: str) -> dict:
        self.begin(step)
        return self.answer()


@dataclasses.dataclass
class Pair:
    """The program that connects and the one that is connected to."""

    client: End
    service: End

    def connect(self) -> None:
        self.service.begin("accept")
        self.client.do(f"connect {ENTRANCE}")
        self.service.answer()


def fin(first: End, second: End, size: int) -> None:
    """`first` ends its direction; the other direction goes on and then ends as well."""
    for writer, reader, count in [(first, second, size), (second, first, 70_000)]:
        writer.do(f"send {count}")
        writer.do("fin")
        require(reader.do(f"read {count}")["right"], f"FIN after {count} bytes: other bytes")
        seen = reader.do("ending")["signal"]
        require(seen == "FIN", f"FIN after {count} bytes arrives as {seen}")
    first.do("close")
    second.do("close")


def rst(first: End, second: End, size: int) -> float:
    """`first` resets once its bytes are there; milliseconds until the other sees it."""
    first.do(f"send {size}")
    require(second.do(f"read {size}")["right"], f"RST after {size} bytes: other bytes")
    second.begin("ending")
    start = first.do("rst")["at"]
    end = second.answer()
    require(end["signal"] == "RST", f"RST after {size} bytes arrives as {end['signal']}")
    second.do("close")
    return (end["at"] - start) * 1000


def endings(qtun: str, folder: pathlib.Path, carrier: str, is_long: bool) -> str:
    times = []
    with Stage(qtun, folder, f"delay {RTT_MS // 2}ms") as stage:
        stage.tunnel("--carrier", carrier)
        ends = [
            End(stage.start(place, name, sys.executable, "-c", END, stdin=subprocess.PIPE))
            for place, name in [(stage.link.a, "client"), (stage.link.b, "service")]]
        pair = Pair(*ends)
        pair.service.do(f"listen {PORT}")
        for _ in range(10 if is_long else 1):
            for size in SIZES:
                for first, second in [ends, ends[::-1]]:
                    pair.connect()
                    fin(first, second, size)
                    pair.connect()
                    times.append(rst(first, second, size))
    # On a busy machine the programs themselves wait; the bar is for the long form on a quiet one.
    require(max(times) < RESET_MS_MAX or not is_long, f"{carrier}: a reset took {max(times):.0f} ms")
    return (f"{len(times)} FIN and {len(times)} RST at {RTT_MS} ms RTT, bytes and signals right; "
            f"RST after {statistics.median(times):.0f} ms, {max(times):.0f} ms at most")


def main() -> int:
    qtun, is_long = os.path.abspath(sys.argv[1]), "--long" in sys.argv
    return play("endings", {
        carrier: functools.partial(endings, qtun, carrier=carrier, is_long=is_long)
        for carrier in CARRIERS})


if __name__ == "__main__":
    sys.exit(main())
