"""A connection of aioquic that sends what it is told, and minds nothing that comes back."""

import select
import socket
import time

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicConnectionError
from aioquic.quic.events import (
    QuicEvent, StreamDataReceived, StreamReset,
)
from aioquic.quic.stream import QuicStream, StreamFinishedError

from rules.frames import reset_stream, stop_sending, varint
from rules.row import APPLICATION, EARLY, HANDSHAKE, INITIAL, Row, Side

SPACES = {
    INITIAL: (tls.Epoch.INITIAL, 0), EARLY: (tls.Epoch.ZERO_RTT, 1),
    HANDSHAKE: (tls.Epoch.HANDSHAKE, 2), APPLICATION: (tls.Epoch.ONE_RTT, None),
}
INITIAL_BYTES = 1200
# Four bytes of packet number: enough for header protection to sample an empty packet.
NUMBER_BYTES = 4
TAG_BYTES = 16
PARAMETERS = tls.ExtensionType.QUIC_TRANSPORT_PARAMETERS
PARAMETERS_OF_DRAFTS = tls.ExtensionType.QUIC_TRANSPORT_PARAMETERS_DRAFT


class LawlessConnection(QuicConnection):
    """Adds packets of any content to a connection that is honest apart from its `row`."""

    def __init__(self, row: Row | None = None, **keywords) -> None:
        self.row = row
        self._has_said_it = False
        # What became of streams, and the bytes that came on them.
        self.bytes_received: dict[int, bytearray] = {}
        self.streams_ended: set[int] = set()
        self.stream_codes: dict[int, int] = {}
        super().__init__(**keywords)

    # MARK: - What is wrong with the handshake

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        # One share of a key costs a third of the time of three.
        self.tls._supported_groups = [tls.Group.X25519]
        if self.row is None:
            return
        extensions = dict(self.tls.handshake_extensions)
        extensions[PARAMETERS] = _changed(extensions[PARAMETERS], self.row.parameters)
        match self.row.hello:
            case "no-parameters":
                del extensions[PARAMETERS]
            case "draft-parameters":
                extensions[PARAMETERS_OF_DRAFTS] = extensions.pop(PARAMETERS)
            case "no-alpn":
                self.tls._alpn_protocols = None
            case "unknown-alpn":
                self.tls._alpn_protocols = ["nobody-knows"]
        self.tls.handshake_extensions = list(extensions.items())

    def _push_crypto_data(self) -> None:
        message = self.row.handshake_message if self.row else b""
        if message and not self._has_said_it and self._crypto_buffers[tls.Epoch.HANDSHAKE].tell():
            self._has_said_it = True
            self._crypto_streams[tls.Epoch.HANDSHAKE].sender.write(message)
        super()._push_crypto_data()

    # MARK: - Packets of our own

    def packet(self, space: str, payload: bytes, reserved: int = 0) -> bytes:
        """A protected packet with this payload; Initials are padded to a datagram's least size."""
        epoch, kind = SPACES[space]
        number = self._packet_number
        self._packet_number += 1
        crypto = self._cryptos[epoch]
        if space == EARLY and not crypto.send.is_valid():
            # Keys that the other side does not have.
            crypto.send.setup(
                cipher_suite=tls.CipherSuite.AES_128_GCM_SHA256, secret=bytes(32),
                version=self._version)
        if kind is None:
            first = 0x40 | reserved << 3 | crypto.key_phase << 2 | NUMBER_BYTES - 1
            header = bytes([first]) + self._peer_cid.cid
        else:
            first = 0xC0 | kind << 4 | reserved << 2 | NUMBER_BYTES - 1
            header = bytes([first]) + self._version.to_bytes(4, "big")
            for identifier in (self._peer_cid.cid, self.host_cid):
                header += bytes([len(identifier)]) + identifier
            if space == INITIAL:
                header += varint(len(self._peer_token)) + self._peer_token
                missing = INITIAL_BYTES - len(header) - 2 - NUMBER_BYTES - TAG_BYTES - len(payload)
                payload += bytes(max(0, missing))
            header += (0x4000 | NUMBER_BYTES + len(payload) + TAG_BYTES).to_bytes(2, "big")
        header += number.to_bytes(NUMBER_BYTES, "big")
        return crypto.encrypt_packet(header, payload, number)

    def can_send(self, space: str) -> bool:
        return space == EARLY or self._cryptos[SPACES[space][0]].send.is_valid()

    def end_stream(self, number: int, manner: str, size: int) -> bytes | None:
        """Ends a stream on which `size` bytes were sent: `fin`, or a packet for `reset` and `stop`."""
        match manner:
            case "fin":
                self.send_stream_data(number, b"", end_stream=True)
            case "reset":
                return self.packet(APPLICATION, reset_stream(number, size))
            case "stop":
                return self.packet(APPLICATION, stop_sending(number))
        return None

    @property
    def side(self) -> Side:
        return Side(is_client=self._is_client)

    # MARK: - What comes back

    @property
    def outcome(self) -> str | None:
        """How the other side ended the connection, in the words of `rules.row`."""
        event = self._close_event
        if event is None:
            return None
        kind = "application" if event.frame_type is None else "transport"
        return f"{kind} {event.error_code:#x}"

    @property
    def is_ready(self) -> bool:
        return self._handshake_complete

    @property
    def is_confirmed(self) -> bool:
        """Both sides know that it is ready (RFC 9001 §4.1.2)."""
        return self._handshake_confirmed

    def take_events(self) -> list[QuicEvent]:
        events = []
        while (event := self.next_event()) is not None:
            events.append(event)
            match event:
                case StreamDataReceived(stream_id=number):
                    self.bytes_received.setdefault(number, bytearray()).extend(event.data)
                    if event.end_stream:
                        self.streams_ended.add(number)
                case StreamReset(stream_id=number):
                    self.stream_codes[number] = event.error_code
        return events

    # Frames about streams that this connection has never heard of are answers to our own packets.

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        if stream_id in self.streams_ended:
            raise StreamFinishedError
        try:
            stream = super()._get_or_create_stream(frame_type, stream_id)
        except QuicConnectionError:
            stream = None
        return stream or QuicStream(stream_id=stream_id, max_stream_data_local=1 << 60)

    def _handle_stop_sending_frame(self, context, frame_type: int, buf: tls.Buffer) -> None:
        # An honest peer would answer with RESET_STREAM, and know how much it has sent.
        number, code = buf.pull_uint_var(), buf.pull_uint_var()
        self.stream_codes[number] = code

    def _stream_is_discarded(self, stream_id: int) -> bool:
        # Our own packets have opened more streams than this connection knows.
        return False

    def _assert_stream_can_send(self, frame_type: int, stream_id: int) -> None:
        pass

    def _assert_stream_can_receive(self, frame_type: int, stream_id: int) -> None:
        pass


def _changed(encoded: bytes, changes: dict[int, bytes | None]) -> bytes:
    """Transport parameters (RFC 9000 §18) with some of them taken out or replaced."""
    buffer, values = tls.Buffer(data=encoded), {}
    while not buffer.eof():
        number = buffer.pull_uint_var()
        values[number] = buffer.pull_bytes(buffer.pull_uint_var())
    values |= changes
    return b"".join(
        varint(number) + varint(len(value)) + value
        for number, value in values.items() if value is not None)


class Dialler:
    """One lawless connection to a server, on a socket of its own, driven by whoever waits for it."""

    def __init__(
        self, port: int, configuration: QuicConfiguration, row: Row | None = None,
        connection_type: type[LawlessConnection] = LawlessConnection,
    ) -> None:
        self.quic = connection_type(row, configuration=configuration)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._peer = ("127.0.0.1", port)
        self.quic.connect(self._peer, time.monotonic())

    def __enter__(self) -> "Dialler":
        return self

    def __exit__(self, *_) -> None:
        if self.quic.outcome is None:
            self.quic.close()
            self.flush()
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except (BlockingIOError, ConnectionRefusedError):
            pass

    def flush(self) -> None:
        for datagram, _ in self.quic.datagrams_to_send(time.monotonic()):
            self.send(datagram)

    def receive(self, seconds: float) -> bool:
        """Takes what arrives within this time; True if something did."""
        if not select.select([self._socket], [], [], max(0, seconds))[0]:
            return False
        while True:
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, ConnectionRefusedError):
                break
            self.quic.receive_datagram(data, self._peer, time.monotonic())
        self.quic.take_events()
        return True

    def wait(self, found, seconds: float, flushes: bool = True):
        """Goes on until `found()` is true, which it returns, or until the other side has closed."""
        deadline = time.monotonic() + seconds
        while not (value := found()) and self.quic.outcome is None:
            now = time.monotonic()
            if now >= deadline:
                break
            if flushes:
                self.flush()
            timer = self.quic.get_timer()
            until = deadline if timer is None else min(deadline, timer)
            if not self.receive(until - now) and timer is not None and time.monotonic() >= timer:
                self.quic.handle_timer(time.monotonic())
        return value or found()
