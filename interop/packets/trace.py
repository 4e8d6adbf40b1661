"""The QUIC packets of a capture, decrypted as far as keys and damage allow."""

import dataclasses

from aioquic.buffer import Buffer, BufferReadError
from aioquic.quic.crypto import CryptoContext, CryptoError, CryptoPair, next_key_phase
from aioquic.quic.packet import (
    QuicHeader, QuicPacketType, is_long_header, pull_quic_header,
)
from aioquic.tls import CipherSuite

from packets import frames, parameters
from packets.capture import Datagram
from packets.frames import Frame
from packets.secrets import KeyLog

V1, V2 = 0x1, 0x6B3343CF
SERVER_HELLO = 2
FIXED_BIT = 0x40
CIPHERS = {suite.value: suite for suite in CipherSuite}
TYPES = {
    QuicPacketType.INITIAL: "initial", QuicPacketType.ZERO_RTT: "0rtt",
    QuicPacketType.HANDSHAKE: "handshake", QuicPacketType.RETRY: "retry",
    QuicPacketType.VERSION_NEGOTIATION: "vn", QuicPacketType.ONE_RTT: "1rtt",
}


@dataclasses.dataclass
class Packet:
    """A QUIC packet. `number` is None where it could not be decrypted."""

    datagram: Datagram
    sender: str
    type: str
    size: int
    version: int | None
    destination_id: bytes
    source_id: bytes
    token: bytes
    connection: "Connection | None" = None
    number: int | None = None
    key_phase: int = 0
    frames: list[Frame] = dataclasses.field(default_factory=list)

    def has(self, *kinds: int) -> bool:
        return any(frame.type in kinds for frame in self.frames)


class Connection:
    """One connection as an onlooker with its keys sees it."""

    def __init__(self, keys: KeyLog, client: tuple[str, int], source_id: bytes) -> None:
        self.client = client
        self.client_id = source_id
        self.random: bytes | None = None
        self._cipher: CipherSuite | None = None
        self._keys = keys
        self._initial_id = b""
        self._initial: dict[int, CryptoPair] = {}
        self._contexts: dict[tuple, list[CryptoContext]] = {}
        self._expected: dict[tuple, int] = {}
        self._crypto: dict[tuple[str, str], dict[int, bytes]] = {}
        self.version = V1

    def begin(self, destination_id: bytes) -> None:
        """RFC 9001 §5.2: the keys of Initial packets follow the first one's destination."""
        self._initial_id = destination_id
        self._initial = {}

    def open(self, packet: Packet, raw: bytes, offset: int) -> bool:
        """Decrypts; False where no key fits."""
        space = "1rtt" if packet.type == "0rtt" else packet.type
        expected = self._expected.get((packet.sender, space), 0)
        for phase, context in enumerate(self._phases(packet)):
            try:
                header, payload, number, is_next = context.decrypt_packet(raw, offset, expected)
                packet.frames = frames.parse(payload)
            except (CryptoError, BufferReadError, ValueError):
                continue
            if is_next:
                following = next_key_phase(context)
                # RFC 9001 §6.1: the header protection key stays.
                following.hp = context.hp
                self._contexts[packet.sender, packet.type, self.version].insert(0, following)
            packet.number, packet.connection = number, self
            packet.key_phase = 0 if is_long_header(header[0]) else header[0] >> 2 & 1
            self._expected[packet.sender, space] = max(expected, number + 1)
            self._note(packet)
            return True
        return False

    @property
    def preferred_id(self) -> bytes:
        """What the client may use where the server would rather have it; empty if nowhere."""
        found = parameters.of_server(self.messages("server", "handshake"))
        address = found.preferred_address if found else None
        return address.connection_id if address else b""

    def messages(self, sender: str, level: str) -> list[tuple[int, bytes]]:
        """TLS handshake messages, type and body, as far as CRYPTO frames bring them in full."""
        stream = self.crypto(sender, level)
        found, offset = [], 0
        while offset + 4 <= len(stream):
            size = int.from_bytes(stream[offset + 1:offset + 4], "big")
            if offset + 4 + size > len(stream):
                break
            found.append((stream[offset], stream[offset + 4:offset + 4 + size]))
            offset += 4 + size
        return found

    def crypto(self, sender: str, level: str) -> bytes:
        """The CRYPTO stream up to its first hole."""
        stream = b""
        for offset, data in sorted(self._crypto.get((sender, level), {}).items()):
            if offset > len(stream):
                break
            stream += data[len(stream) - offset:]
        return stream

    def _note(self, packet: Packet) -> None:
        for frame in packet.frames:
            if frame.type == frames.CRYPTO:
                pieces = self._crypto.setdefault((packet.sender, packet.type), {})
                if len(frame.data) > len(pieces.get(frame.offset, b"")):
                    pieces[frame.offset] = frame.data
        if packet.type == "initial" and packet.sender == "client" and self.random is None:
            hello = self.crypto("client", "initial")
            self.random = hello[6:38] if len(hello) >= 38 else None
        if packet.type == "initial" and packet.sender == "server" and self._cipher is None:
            for kind, body in self.messages("server", "initial"):
                if kind == SERVER_HELLO:
                    position = 35 + body[34]
                    self._cipher = CIPHERS[int.from_bytes(body[position:position + 2], "big")]
            # RFC 9369 §4.1: the server's choice counts from its first packet on.
            self.version = packet.version

    def _phases(self, packet: Packet) -> list[CryptoContext]:
        """The keys that may fit, the newest first."""
        if packet.type == "initial":
            if packet.version not in self._initial:
                pair = CryptoPair()
                pair.setup_initial(self._initial_id, is_client=False, version=packet.version)
                self._initial[packet.version] = pair
            pair = self._initial[packet.version]
            return [pair.recv if packet.sender == "client" else pair.send]
        version = packet.version or self.version
        if packet.type == "1rtt":
            version = self.version
        key = (packet.sender, packet.type, version)
        if key not in self._contexts:
            secret = self._cipher and self.random and self._keys.secret(
                packet.sender, packet.type, self.random)
            if not secret:
                return []
            context = CryptoContext()
            context.setup(cipher_suite=self._cipher, secret=secret, version=version)
            self._contexts[key] = [context]
        return list(self._contexts[key])


class Trace:
    """All packets of one capture, in order."""

    def __init__(self, datagrams: list[Datagram], servers: set[str], keys: KeyLog) -> None:
        self._servers = servers
        self._keys = keys
        self.connections: list[Connection] = []
        self.packets: list[Packet] = []
        self._by_id: dict[bytes, Connection] = {}
        self._by_client: dict[tuple[str, int], Connection] = {}
        # Secrets need the ServerHello, which may come after what it protects.
        waiting: list[tuple[Packet, bytes, int]] = []
        for datagram in datagrams:
            for packet, raw, offset in self._split(datagram):
                self.packets.append(packet)
                is_open = self._decrypt(packet, raw, offset)
                if not is_open and packet.type in ("0rtt", "handshake", "1rtt"):
                    waiting.append((packet, raw, offset))
        for packet, raw, offset in waiting:
            self._decrypt(packet, raw, offset)

    def of(self, sender: str, *types: str) -> list[Packet]:
        """The packets of one side and of these types, or of all."""
        return [
            packet for packet in self.packets
            if packet.sender == sender and (not types or packet.type in types)
        ]

    def _split(self, datagram: Datagram) -> list[tuple[Packet, bytes, int]]:
        sender = "server" if datagram.source[0] in self._servers else "client"
        parts, rest = [], datagram.payload
        # aioquic fills datagrams up with zeros behind the last packet.
        while rest.strip(b"\0"):
            try:
                length = 0 if is_long_header(rest[0]) else self._identifier_length(sender, rest)
                # RFC 9287: peers that agree on it may clear the bit that aioquic insists on.
                buffer = Buffer(data=bytes([rest[0] | FIXED_BIT]) + rest[1:])
                header = pull_quic_header(buffer, host_cid_length=length)
            except (BufferReadError, ValueError):
                # Damaged on the way.
                break
            packet = self._describe(datagram, sender, header)
            parts.append((packet, rest[:header.packet_length], buffer.tell()))
            rest = rest[header.packet_length:]
        return parts

    def _describe(self, datagram: Datagram, sender: str, header: QuicHeader) -> Packet:
        return Packet(
            datagram, sender, TYPES[header.packet_type], header.packet_length, header.version,
            header.destination_cid, header.source_cid, header.token)

    def _identifier_length(self, sender: str, packet: bytes) -> int:
        for length in range(20, 0, -1):
            if packet[1:1 + length] in self._by_id:
                return length
        return 0

    def _decrypt(self, packet: Packet, raw: bytes, offset: int) -> bool:
        if packet.type in ("retry", "vn"):
            connection = self._find(packet)
            packet.connection = connection
            if connection and packet.type == "retry":
                connection.begin(packet.source_id)
                self._by_id[packet.source_id] = connection
            return True
        connection = self._find(packet)
        if connection is None and packet.type == "initial" and packet.sender == "client":
            connection = Connection(self._keys, packet.datagram.source, packet.source_id)
            connection.begin(packet.destination_id)
            if packet.version not in (V1, V2) or not connection.open(packet, raw, offset):
                return False
            self.connections.append(connection)
            self._learn(connection, packet)
            return True
        if connection is None or packet.version not in (None, V1, V2):
            return False
        if not connection.open(packet, raw, offset):
            return False
        self._learn(connection, packet)
        return True

    def _find(self, packet: Packet) -> Connection | None:
        if packet.destination_id:
            return self._by_id.get(packet.destination_id)
        return self._by_client.get(packet.datagram.destination)

    def _learn(self, connection: Connection, packet: Packet) -> None:
        if packet.sender == "client":
            self._by_client[packet.datagram.source] = connection
        identifiers = [packet.destination_id, packet.source_id] + [
            frame.data for frame in packet.frames if frame.type == frames.NEW_CONNECTION_ID
        ]
        if packet.sender == "server" and packet.type == "handshake":
            identifiers.append(connection.preferred_id)
        for identifier in identifiers:
            if identifier:
                self._by_id[identifier] = connection
