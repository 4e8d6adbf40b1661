"""Whether the bad link does what it is told: by counting, not by the clock.

    unshare -n python3 interop/lab/link.py .build/release/qtun
"""

import os
import socket
import subprocess
import sys
import time

from bad_link import ADDRESS_B, BadLink, Unavailable, link_program

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
             "delay 20ms 30ms", "blackhole maybe", "a>b", "udp", "x" * 4000]
    for line in lines:
        try:
            link.tell(line)
        except ValueError:
            continue
        raise Failure(f"{line!r} was accepted")
    return f"{len(lines)} wrong lines refused"


def main() -> int:
    cases = [clean, random_loss, burst_loss, disorder, blackholes, delay, refusals]
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
