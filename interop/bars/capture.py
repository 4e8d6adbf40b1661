"""What passes a node's interface, with the time of each packet."""

import socket
import struct

from lab.internet import Node

ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800
SO_TIMESTAMPNS = 35
RELAYED = 0x2B


class Capture:
    """All IPv4 packets of a node from now on; they are read at the end."""

    def __init__(self, node: Node) -> None:
        self._own = set(node.addresses)
        with node.inside():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setblocking(False)
        self._packets: list[tuple[float, bytes]] = []

    def close(self) -> None:
        self._socket.close()

    def _all(self) -> list[tuple[float, bytes]]:
        while True:
            try:
                packet, ancillary, _, address = self._socket.recvmsg(1 << 16, 64)
            except BlockingIOError:
                return self._packets
            if socket.ntohs(address[1]) == ETH_P_IP or address[1] == ETH_P_IP:
                seconds, nanoseconds = struct.unpack("@qq", ancillary[0][2][:16])
                self._packets.append((seconds + nanoseconds / 1e9, packet))

    def forwarded_from(self, addresses: list[str], until: float) -> list[int]:
        """Bytes of datagrams that came from each address to be forwarded; with IP headers, as on the line."""
        counts = dict.fromkeys(addresses, 0)
        for time, packet in self._all():
            source = socket.inet_ntoa(packet[12:16])
            if time <= until and source in counts and is_relayed(packet):
                counts[source] += len(packet)
        return [counts[address] for address in addresses]

    def total(self, until: float) -> int:
        """Bytes of all packets, in both directions."""
        return sum(len(packet) for time, packet in self._all() if time <= until)

    def sizes(self, until: float) -> list[str]:
        """When relayed datagrams came, from where, and how large they were; for people."""
        begin = min((time for time, _ in self._all()), default=0.0)
        return [
            f"{(time - begin) * 1000:.0f} ms from {socket.inet_ntoa(packet[12:16])}: {len(packet)}"
            for time, packet in self._all()
            if time <= until and is_relayed(packet) and socket.inet_ntoa(packet[12:16]) not in self._own]


def is_relayed(packet: bytes) -> bool:
    """UDP whose payload begins with the byte of relayed datagrams."""
    start = (packet[0] & 15) * 4 + 8
    return packet[9] == socket.IPPROTO_UDP and packet[start:start + 1] == bytes([RELAYED])
