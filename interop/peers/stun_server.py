"""A STUN server on two addresses and two ports, as RFC 5780 wants it, written without the code under test.

    python3 interop/peers/stun_server.py ADDRESS [ADDRESS]

With one address it has one port as well, and says nothing of another. Prints `ready` when it listens.
"""

import ipaddress
import select
import socket
import struct
import sys

PORTS = (3478, 3479)
COOKIE = 0x2112A442
BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101
CHANGE_REQUEST, XOR_MAPPED_ADDRESS, OTHER_ADDRESS = 0x0003, 0x0020, 0x802C


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def address(host: str, port: int, xor: int = 0) -> bytes:
    number = int(ipaddress.IPv4Address(host)) ^ xor
    return struct.pack("!xBHI", 1, port ^ (xor >> 16), number)


def answer(request: bytes, source: tuple[str, int], other: tuple[str, int] | None):
    """The response and which of address and port shall change; None for what is no request."""
    if len(request) < 20:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", request)
    if kind != BINDING_REQUEST or cookie != COOKIE or length != len(request) - 20:
        return None
    flags, offset = 0, 20
    while offset + 4 <= len(request):
        name, size = struct.unpack_from("!HH", request, offset)
        if name == CHANGE_REQUEST and size == 4:
            flags, = struct.unpack_from("!I", request, offset + 4)
        offset += 4 + (size + 3) // 4 * 4
    body = attribute(XOR_MAPPED_ADDRESS, address(*source, xor=COOKIE))
    if other:
        body += attribute(OTHER_ADDRESS, address(*other))
    head = struct.pack("!HHI", BINDING_SUCCESS, len(body), COOKIE) + request[8:20]
    return head + body, bool(flags & 4), bool(flags & 2)


def main(hosts: list[str]) -> None:
    ports = PORTS if len(hosts) == 2 else PORTS[:1]
    places = {}
    for host in hosts:
        for port in ports:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((host, port))
            places[host, port] = udp
    names = {udp: place for place, udp in places.items()}
    print("ready", flush=True)
    while True:
        for udp in select.select(list(names), [], [])[0]:
            request, source = udp.recvfrom(2048)
            host, port = names[udp]
            other = None
            if len(hosts) == 2:
                other = (hosts[1 - hosts.index(host)], ports[1 - ports.index(port)])
            found = answer(request, source, other)
            if found is None or (other is None and any(found[1:])):
                continue
            response, changes_address, changes_port = found
            place = (other[0] if changes_address else host, other[1] if changes_port else port) \
                if other else (host, port)
            places[place].sendto(response, source)


if __name__ == "__main__":
    main(sys.argv[1:])
