"""Reads what `qtun-link` captured: UDP datagrams of one end of the link, in order."""

import dataclasses
import ipaddress
import pathlib
import struct

NANOSECOND_MAGIC = 0xA1B23C4D
RAW_IP = 101
UDP = 17


@dataclasses.dataclass(frozen=True)
class Datagram:
    """One UDP datagram; `seconds` is monotonic, `ecn` is the field of the IP header."""

    seconds: float
    source: tuple[str, int]
    destination: tuple[str, int]
    ecn: int
    payload: bytes

    @property
    def is_ipv4(self) -> bool:
        return ":" not in self.source[0]


def read(path: pathlib.Path) -> list[Datagram]:
    """All datagrams of a capture; other protocols are passed over."""
    data = path.read_bytes()
    magic, _, _, _, _, link_type = struct.unpack_from("=IIIIII", data)
    if (magic, link_type) != (NANOSECOND_MAGIC, RAW_IP):
        raise ValueError(f"{path.name} is no capture of qtun-link")
    found, offset = [], 24
    while offset + 16 <= len(data):
        seconds, nanoseconds, size, _ = struct.unpack_from("=IIII", data, offset)
        packet = data[offset + 16:offset + 16 + size]
        offset += 16 + size
        # The link may be ended in the middle of a packet.
        if len(packet) == size and (datagram := _parse(seconds + nanoseconds / 1e9, packet)):
            found.append(datagram)
    return found


def _parse(seconds: float, packet: bytes) -> Datagram | None:
    if packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        protocol, ecn = packet[9], packet[1] & 3
        addresses = packet[12:16], packet[16:20]
    else:
        header = 40
        protocol, ecn = packet[6], packet[1] >> 4 & 3
        addresses = packet[8:24], packet[24:40]
    if protocol != UDP or len(packet) < header + 8:
        return None
    source, destination = struct.unpack_from(">HH", packet, header)
    return Datagram(
        seconds, (str(ipaddress.ip_address(addresses[0])), source),
        (str(ipaddress.ip_address(addresses[1])), destination), ecn, packet[header + 8:])
