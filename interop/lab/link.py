"""Whether the bad link does what it is told: by counting, not by the clock.

    unshare -n python3 interop/lab/link.py .build/release/qtun
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))
from bad_link import ADDRESS_B, BadLink, Unavailable, link_program
from packets import capture

SEED = int(os.environ.get("QTUN_SEED", "1"))
PACKETS = 20_000
PORT = 9_999
# Sends numbered datagrams slowly enough for every buffer.
SENDER = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range({PACKETS}):
    s.sendto(n.to_bytes(4, "big") * 50, ("{ADDRESS_B}", {PORT}))
    if n % 50 == 49: time.sleep(0.002)
"""
RECEIVER = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
except PermissionError: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
got = []
s.bind(("", {PORT})); s.settimeout(20); print("ready", flush=True)
try:
    while data := s.recv(2000):
        s.settimeout(1)
        got.append((int.from_bytes(data[:4], "big"), data == data[:4] * 50))
except TimeoutError: pass
print("\\n".join(f"{{number}} {{whole}}" for number, whole in got))
"""
# Sends back who asked; "first" is answered to whoever came first.
ECHO = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", {PORT})); print("ready", flush=True)
first = None
while True:
    data, source = s.recvfrom(2000)
    first = first or source
    s.sendto(f"{{source[0]}} {{source[1]}}".encode(), first if data == b"first" else source)
"""
ASKER = f"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
for line in sys.stdin:
    s.sendto(line.strip().encode(), ("{ADDRESS_B}", {PORT}))
    try: print(s.recv(2000).decode(), flush=True)
    except TimeoutError: print("none", flush=True)
"""


class Failure(Exception):
    """The link does something else."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Failure(text)


def send(link: BadLink) -> list[tuple[int, bool]]:
    """Number and wholeness of every datagram that arrived, in order."""
    receiver = subprocess.Popen(
        link.b.command(sys.executable, "-c", RECEIVER), stdout=subprocess.PIPE, text=True)
    try:
        receiver.stdout.readline()
        link.a.run(sys.executable, "-c", SENDER)
        lines = receiver.communicate(timeout=60)[0].split("\n")
    finally:
        receiver.kill()
        receiver.wait()
    return [(int(line.split()[0]), line.endswith("True")) for line in lines if line]


def near(what: str, measured: float, expected: float, tolerance: float) -> str:
    require(abs(measured - expected) <= tolerance, f"{what} {measured:.4f}, not {expected}")
    return f"{what} {measured:.4f}"


def series(numbers: set[int]) -> list[int]:
    """Lengths of the runs of missing numbers."""
    runs, length = [], 0
    for number in range(PACKETS):
        if number not in numbers:
            length += 1
        elif length:
            runs.append(length)
            length = 0
    return runs


def clean(link: BadLink) -> str:
    arrived = send(link)
    require(arrived == [(n, True) for n in range(PACKETS)], "a clean link lost or changed something")
    return f"{PACKETS} arrived whole and in order"


def random_loss(link: BadLink) -> str:
    link.tell("a>b udp loss 5%")
    numbers = {number for number, _ in send(link)}
    runs = series(numbers)
    return ", ".join([
        near("loss", 1 - len(numbers) / PACKETS, 0.05, 0.008),
        near("burst", sum(runs) / len(runs), 1.05, 0.1)])


def burst_loss(link: BadLink) -> str:
    link.tell("loss 12% burst 25")
    numbers = {number for number, _ in send(link)}
    runs = series(numbers)
    return ", ".join([
        near("loss", 1 - len(numbers) / PACKETS, 0.12, 0.05),
        near("burst", sum(runs) / len(runs), 25, 8)])


def few_in_a_row(link: BadLink) -> str:
    link.tell("udp loss 40% atmost 3")
    longest = max(series({number for number, _ in send(link)}))
    require(longest == 3, f"{longest} losses in a row")
    return f"{longest} losses in a row"


def dropped_by_number(link: BadLink) -> str:
    link.tell("a>b udp drop 2 7")
    missing = set(range(PACKETS)) - {number for number, _ in send(link)}
    require(missing == set(range(1, 7)), f"missing: {sorted(missing)[:10]}")
    return "the second to the seventh"


def damaged_heads(link: BadLink) -> str:
    link.tell("a>b udp corrupt 100% head 50")
    arrived = send(link)
    whole = sum(1 for _, is_whole in arrived if is_whole)
    require(len(arrived) == PACKETS, f"{PACKETS - len(arrived)} have a wrong checksum")
    require(whole == 0, f"{whole} were not damaged")
    return f"{PACKETS} damaged, all with a right checksum"


def short_queue(link: BadLink) -> str:
    """Each packet takes 18 ms, so next to nothing leaves while they come."""
    link.tell("a>b rate 100kbit", "a>b queue 1M", "a>b queuelength 25")
    before = time.monotonic()
    link.a.run(sys.executable, "-c", SENDER)
    left = (time.monotonic() - before) / 0.018
    counters = link.counters()["a>b"]
    accepted = counters["arrived"] - counters["overflowed"]
    require(25 <= accepted <= 25 + left + 2, f"{accepted} of {PACKETS} found a place")
    return f"{accepted} of {PACKETS} found a place"


def rebinding(link: BadLink) -> str:
    echo = subprocess.Popen(
        link.b.command(sys.executable, "-c", ECHO), stdout=subprocess.PIPE, text=True)
    asker = subprocess.Popen(
        link.a.command(sys.executable, "-c", ASKER), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(word: str) -> str:
        asker.stdin.write(word + "\n")
        return asker.stdout.readline().strip()

    try:
        echo.stdout.readline()
        seen = [ask("me")]
        for what in ["port", "address", "address", "port"]:
            link.tell(f"rebind {what}")
            seen.append(ask("me"))
        require("none" not in seen, f"no answer: {seen}")
        require(ask("first") == "none", "an old binding is still there")
        addresses = [one.split()[0].rsplit(".", 1)[1] for one in seen]
        require(addresses == ["1", "1", "3", "4", "4"], f"addresses: {addresses}")
        require(len({one.split()[1] for one in seen}) == len(seen), f"ports: {seen}")
    finally:
        for process in (asker, echo):
            process.kill()
            process.wait()
    return f"{len(seen)} bindings, one after the other"


def captures(link: BadLink) -> str:
    with tempfile.TemporaryDirectory(prefix="qtun-link-") as folder:
        ends = [pathlib.Path(folder) / name for name in ("a", "b")]
        link.tell(f"capture {ends[0]} {ends[1]}", "a>b udp loss 5%", "delay 5ms")
        arrived = send(link)
        first, second = [capture.read(end) for end in ends]
    require(len(first) == PACKETS, f"{len(first)} at the first end")
    require(len(second) == len(arrived), f"{len(second)} at the second end")
    require(
        [int.from_bytes(one.payload[:4], "big") for one in second]
        == [number for number, _ in arrived], "another order")
    require(second[0].seconds - first[0].seconds >= 0.005, "no delay between the ends")
    return f"{len(first)} and {len(second)}"


def disorder(link: BadLink) -> str:
    link.tell("duplicate 3%", "reorder 2% 5ms", "corrupt 1%", "delay 5ms", "jitter 2ms")
    arrived = send(link)
    numbers = [number for number, _ in arrived]
    require(len(set(number for number, whole in arrived if whole)) >= PACKETS * 0.98, "something got lost")
    late = sum(1 for before, after in zip(numbers, numbers[1:]) if after < before)
    damaged = sum(1 for _, whole in arrived if not whole)
    return ", ".join([
        near("doubled", (len(numbers) - PACKETS) / PACKETS, 0.03, 0.006),
        near("damaged", damaged / len(numbers), 0.01, 0.004),
        near("overtaken", late / PACKETS, 0.02, 0.008)])


def blackholes(link: BadLink) -> str:
    link.tell("udp blackhole on")
    require(send(link) == [], "datagrams passed a black hole")
    link.tell("udp blackhole off", "mtu 227")
    require(send(link) == [], "datagrams above the MTU passed")
    link.tell("mtu 228")
    require(len(send(link)) == PACKETS, "datagrams of the MTU did not pass")
    counters = link.counters()["a>b"]
    require(counters["blackholed"] == counters["oversized"] == PACKETS, f"counters: {counters}")
    return f"two times {PACKETS} gone, then all there"


def delay(link: BadLink) -> str:
    """No packet is early; how late one is depends on the machine, so the best of many counts."""
    link.tell("a>b delay 20ms", "b>a delay 30ms")
    text = link.a.run("ping", "-q", "-i", "0.05", "-c", "20", ADDRESS_B) if have_ping() else ""
    if not text:
        return "not measured without ping"
    least = float(text.rsplit("=", 1)[1].split("/")[0])
    require(50 <= least < 60, f"round trip {least} ms")
    return f"round trip {least} ms for 20 + 30"


def have_ping() -> bool:
    return subprocess.run(["sh", "-c", "command -v ping"], capture_output=True).returncode == 0


def refusals(link: BadLink) -> str:
    lines = ["", "delay", "delay 20", "loss 120%", "loss 1", "udp rate 5mbit", "burst 3",
             "drop 7 2", "udp queuelength 5", "rebind house", "capture /nonexistent/a b",
             "delay 20ms 30ms", "blackhole maybe", "a>b", "udp", "x" * 4000]
    for line in lines:
        try:
            link.tell(line)
        except ValueError:
            continue
        raise Failure(f"{line!r} was accepted")
    return f"{len(lines)} wrong lines refused"


def main() -> int:
    cases = [
        clean, random_loss, burst_loss, few_in_a_row, dropped_by_number, damaged_heads, short_queue,
        disorder, blackholes, rebinding, captures, delay, refusals,
    ]
    failed = 0
    try:
        program = link_program(sys.argv[1])
        for case in cases:
            with BadLink(program, SEED) as link:
                try:
                    print(f"ok    link: {case.__name__.replace('_', ' ')}: {case(link)}", flush=True)
                except (Failure, OSError, ValueError) as error:
                    failed += 1
                    print(f"FAIL  link: {case.__name__} (seed {SEED}): {error}", flush=True)
    except Unavailable as error:
        print(f"skip  link  {error}\n0 passed, 0 failed, {len(cases)} skipped")
        return 0
    print(f"{len(cases) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
