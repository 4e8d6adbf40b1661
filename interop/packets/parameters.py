"""A server's transport parameters (RFC 9001 §8.2), from its EncryptedExtensions."""

from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicTransportParameters, pull_quic_transport_parameters

ENCRYPTED_EXTENSIONS = 8
TRANSPORT_PARAMETERS = 0x39


def of_server(messages: list[tuple[int, bytes]]) -> QuicTransportParameters | None:
    """Out of its Handshake messages; None before they are there."""
    body = dict(messages).get(ENCRYPTED_EXTENSIONS)
    if body is None:
        return None
    buffer = Buffer(data=body)
    end = buffer.pull_uint16() + 2
    while buffer.tell() < end:
        kind, size = buffer.pull_uint16(), buffer.pull_uint16()
        data = buffer.pull_bytes(size)
        if kind == TRANSPORT_PARAMETERS:
            return pull_quic_transport_parameters(Buffer(data=data))
    return None
