"""Offences against QUIC's transport, RFC 9000 and RFC 9001."""

from rules.frames import (
    HANDSHAKE_DONE, PADDING, PING, VARINT_MAX, ack, crypto, data_blocked, datagram, max_data,
    max_stream_data, max_streams, new_connection_id, new_token, path_challenge, path_response,
    reset_stream, retire_connection_id, stop_sending, stream, stream_data_blocked, streams_blocked,
    tls, varint,
)
from rules.row import (
    EARLY, HANDSHAKE, INITIAL, STAYS_OPEN, Row, transport,
)
from rules.row import stream as stream_error

# RFC 9000 §20.1.
FLOW_CONTROL = transport(0x3)
STREAM_LIMIT = transport(0x4)
STREAM_STATE = transport(0x5)
FINAL_SIZE = transport(0x6)
FRAME_ENCODING = transport(0x7)
PARAMETERS = transport(0x8)
ID_LIMIT = transport(0x9)
VIOLATION = transport(0xA)
CRYPTO_BUFFER = transport(0xD)
# RFC 9001 §4.8: 0x100 and the alert of RFC 8446 §6.2.
UNEXPECTED_MESSAGE = transport(0x10A)
MISSING_EXTENSION = transport(0x16D)
NO_PROTOCOL = transport(0x178)

KEY_UPDATE, END_OF_EARLY_DATA, CLIENT_HELLO, NEW_TICKET, CERTIFICATE, FINISHED = 24, 5, 1, 4, 11, 20
# More streams, and far more bytes, than anybody allows.
STREAMS = 1 << 20
BYTES = 1 << 40

# The transport's part of what h3spec knows: 34 offences of a client.
KNOWN = [
    Row("data beyond the stream's window", "RFC 9000 §4.1", FLOW_CONTROL,
        lambda side: [stream(side.mine(), b"x", BYTES)]),
    Row("more streams than allowed", "RFC 9000 §4.6", STREAM_LIMIT,
        lambda side: [stream(side.mine(STREAMS), b"x")]),
    Row("no initial_source_connection_id", "RFC 9000 §7.3", PARAMETERS, parameters={0x0F: None}),
    Row("original_destination_connection_id of a client", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x00: b"12345678"}, victim="server"),
    Row("preferred_address of a client", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x0D: bytes(24) + b"\x04abcd" + bytes(16)}, victim="server"),
    Row("retry_source_connection_id of a client", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x10: b"12345678"}, victim="server"),
    Row("stateless_reset_token of a client", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x02: bytes(16)}, victim="server"),
    Row("max_udp_payload_size below 1200", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x03: varint(1199)}),
    Row("ack_delay_exponent above 20", "RFC 9000 §18.2", PARAMETERS, parameters={0x0A: varint(21)}),
    Row("max_ack_delay of 2^14", "RFC 9000 §18.2", PARAMETERS, parameters={0x0B: varint(1 << 14)}),
    Row("frame of an unknown type", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [varint(0x1F4A)]),
    Row("packet without frames", "RFC 9000 §12.4", VIOLATION, lambda side: [b""]),
    Row("reserved bits in Handshake", "RFC 9000 §17.2", VIOLATION, lambda side: [PING],
        space=HANDSHAKE, reserved=3),
    Row("reserved bits in 1-RTT", "RFC 9000 §17.3.1", VIOLATION, lambda side: [PING], reserved=3),
    Row("PATH_CHALLENGE in Handshake", "RFC 9000 §12.4", VIOLATION,
        lambda side: [path_challenge()], space=HANDSHAKE),
    # The section wants 0x5; ngtcp2 1.11 says 0xa.
    Row("RESET_STREAM of a stream to receive", "RFC 9000 §19.4", STREAM_STATE | VIOLATION,
        lambda side: [reset_stream(side.yours(uni=True))]),
    Row("STOP_SENDING of a stream not opened", "RFC 9000 §19.5", STREAM_STATE,
        lambda side: [stop_sending(side.yours(STREAMS))]),
    Row("NEW_TOKEN of a client", "RFC 9000 §19.7", VIOLATION,
        lambda side: [new_token(b"token")], victim="server"),
    Row("STREAM on the peer's stream not opened", "RFC 9000 §19.8", STREAM_STATE,
        lambda side: [stream(side.yours(STREAMS), b"x")]),
    Row("STREAM on the peer's one-way stream", "RFC 9000 §19.8", STREAM_STATE,
        lambda side: [stream(side.yours(uni=True), b"x")]),
    Row("MAX_STREAM_DATA of a stream not opened", "RFC 9000 §19.10", STREAM_STATE,
        lambda side: [max_stream_data(side.yours(STREAMS))]),
    Row("MAX_STREAM_DATA of a stream to send", "RFC 9000 §19.10", STREAM_STATE,
        lambda side: [max_stream_data(side.mine(uni=True))]),
    Row("MAX_STREAMS above 2^60", "RFC 9000 §19.11", FRAME_ENCODING,
        lambda side: [max_streams((1 << 60) + 1)]),
    Row("STREAMS_BLOCKED above 2^60", "RFC 9000 §19.14", FRAME_ENCODING | STREAM_LIMIT,
        lambda side: [streams_blocked((1 << 60) + 1)]),
    Row("NEW_CONNECTION_ID that retires itself", "RFC 9000 §19.15", FRAME_ENCODING,
        lambda side: [new_connection_id(2, retire=3)]),
    Row("NEW_CONNECTION_ID of no bytes", "RFC 9000 §19.15", FRAME_ENCODING,
        lambda side: [b"\x18\x01\x00\x00" + bytes(16)]),
    Row("HANDSHAKE_DONE of a client", "RFC 9000 §19.20", VIOLATION,
        lambda side: [HANDSHAKE_DONE], victim="server"),
    Row("TLS KeyUpdate in Handshake", "RFC 9001 §6", UNEXPECTED_MESSAGE,
        handshake_message=tls(KEY_UPDATE, b"\x00")),
    Row("TLS KeyUpdate in 1-RTT", "RFC 9001 §6", UNEXPECTED_MESSAGE,
        lambda side: [crypto(tls(KEY_UPDATE, b"\x00"))]),
    Row("no application protocol", "RFC 9001 §8.1", NO_PROTOCOL, hello="no-alpn"),
    Row("no transport parameters", "RFC 9001 §8.2", MISSING_EXTENSION, hello="no-parameters"),
    Row("transport parameters of the drafts", "RFC 9001 §8.2", MISSING_EXTENSION,
        hello="draft-parameters"),
    Row("EndOfEarlyData", "RFC 9001 §8.3", UNEXPECTED_MESSAGE,
        handshake_message=tls(END_OF_EARLY_DATA)),
    # There are no keys for it here: 0-RTT is refused, so its packets are not even opened.
    Row("CRYPTO in 0-RTT", "RFC 9001 §5.7", STAYS_OPEN,
        lambda side: [crypto(tls(CLIENT_HELLO))], space=EARLY, victim="server"),
]

# Frames of our own choice.
FRAMES = [
    Row("STREAM beyond 2^62", "RFC 9000 §19.8", FRAME_ENCODING | FLOW_CONTROL,
        lambda side: [stream(side.mine(), b"xx", VARINT_MAX)]),
    Row("STREAM that ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [stream(side.mine(), b"x", length=100)]),
    Row("two sizes of one stream", "RFC 9000 §4.5", FINAL_SIZE,
        lambda side: [stream(side.mine(), b"x", 9, fin=True) + stream(side.mine(), b"x", 4, fin=True)]),
    Row("data behind the end", "RFC 9000 §4.5", FINAL_SIZE,
        lambda side: [stream(side.mine(), b"x", 4, fin=True) + stream(side.mine(), b"x", 9)]),
    Row("end in front of data", "RFC 9000 §4.5", FINAL_SIZE,
        lambda side: [stream(side.mine(), b"x", 9) + stream(side.mine(), b"x", 3, fin=True)]),
    Row("RESET_STREAM below what came", "RFC 9000 §4.5", FINAL_SIZE,
        lambda side: [stream(side.mine(), b"x", 9) + reset_stream(side.mine(), 5)]),
    Row("RESET_STREAM of another size than FIN", "RFC 9000 §4.5", FINAL_SIZE,
        lambda side: [stream(side.mine(), b"x", 9, fin=True) + reset_stream(side.mine(), 12)]),
    Row("RESET_STREAM beyond the window", "RFC 9000 §4.5", FLOW_CONTROL,
        lambda side: [reset_stream(side.mine(), BYTES)]),
    Row("one-way stream beyond the limit", "RFC 9000 §4.6", STREAM_LIMIT,
        lambda side: [stream(side.mine(STREAMS, uni=True), b"x")]),
    Row("RESET_STREAM beyond the limit", "RFC 9000 §4.6", STREAM_LIMIT,
        lambda side: [reset_stream(side.mine(STREAMS))]),
    Row("MAX_STREAM_DATA beyond the limit", "RFC 9000 §4.6", STREAM_LIMIT,
        lambda side: [max_stream_data(side.mine(STREAMS))]),
    Row("STREAM_DATA_BLOCKED beyond the limit", "RFC 9000 §4.6", STREAM_LIMIT,
        lambda side: [stream_data_blocked(side.mine(STREAMS))]),
    Row("STOP_SENDING of a stream to send", "RFC 9000 §19.5", STREAM_STATE,
        lambda side: [stop_sending(side.mine(uni=True))]),
    Row("STREAM_DATA_BLOCKED of a stream to receive", "RFC 9000 §19.13", STREAM_STATE,
        lambda side: [stream_data_blocked(side.yours(uni=True))]),
    Row("CRYPTO with a gap of a megabyte", "RFC 9000 §7.5", CRYPTO_BUFFER,
        lambda side: [crypto(b"x", 1 << 20)]),
    Row("CRYPTO beyond 2^62", "RFC 9000 §19.6", FRAME_ENCODING | CRYPTO_BUFFER,
        lambda side: [crypto(b"xx", VARINT_MAX)]),
    Row("TLS ClientHello in 1-RTT", "RFC 9001 §4", UNEXPECTED_MESSAGE,
        lambda side: [crypto(tls(CLIENT_HELLO, bytes(40)))]),
    Row("TLS Certificate in 1-RTT", "RFC 9001 §4.4", UNEXPECTED_MESSAGE,
        lambda side: [crypto(tls(CERTIFICATE, bytes(8)))]),
    Row("TLS Finished in 1-RTT", "RFC 9001 §4", UNEXPECTED_MESSAGE,
        lambda side: [crypto(tls(FINISHED, bytes(32)))]),
    Row("session ticket of a client", "RFC 8446 §4.6.1", UNEXPECTED_MESSAGE,
        lambda side: [crypto(tls(NEW_TICKET, bytes(16)))], victim="server"),
    Row("ACK of a packet never sent", "RFC 9000 §13.1", VIOLATION, lambda side: [ack(1 << 30)]),
    Row("ACK below zero", "RFC 9000 §19.3.1", FRAME_ENCODING, lambda side: [ack(1, first=2)]),
    Row("ACK of a range below zero", "RFC 9000 §19.3.1", FRAME_ENCODING,
        lambda side: [ack(2, 0, ((5, 5),))]),
    Row("ACK that ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [b"\x02\x00\x00\x40\xff\x00"]),
    Row("NEW_CONNECTION_ID of 21 bytes", "RFC 9000 §19.15", FRAME_ENCODING,
        lambda side: [new_connection_id(1, identifier=bytes(21))]),
    Row("NEW_CONNECTION_ID that ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [new_connection_id(1)[:-3]]),
    Row("one number for two connection IDs", "RFC 9000 §19.15", VIOLATION,
        lambda side: [new_connection_id(20, 20, b"first id") + new_connection_id(20, 20, b"other id")]),
    Row("two numbers for one connection ID", "RFC 9000 §19.15", VIOLATION,
        lambda side: [new_connection_id(20, 20, b"first id") + new_connection_id(21, 20, b"first id")]),
    Row("more connection IDs than allowed", "RFC 9000 §5.1.1", ID_LIMIT,
        lambda side: [b"".join(new_connection_id(20 + number) for number in range(20))]),
    Row("RETIRE_CONNECTION_ID of none of ours", "RFC 9000 §19.16", VIOLATION,
        lambda side: [retire_connection_id(1 << 20)]),
    Row("RETIRE_CONNECTION_ID of the one in use", "RFC 9000 §19.16", VIOLATION,
        lambda side: [retire_connection_id(0)]),
    Row("PATH_CHALLENGE that ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [path_challenge(b"short")]),
    Row("PATH_RESPONSE that nobody waits for", "RFC 9000 §19.18", STAYS_OPEN | VIOLATION,
        lambda side: [path_response()]),
    Row("NEW_TOKEN without a token", "RFC 9000 §19.7", FRAME_ENCODING,
        lambda side: [new_token(b"")], victim="client"),
    # Anybody on the path can write an Initial, so ngtcp2 drops those that are wrong.
    Row("STREAM in Initial", "RFC 9000 §12.4", VIOLATION | STAYS_OPEN,
        lambda side: [stream(side.mine(), b"x")], space=INITIAL),
    Row("STREAM in Handshake", "RFC 9000 §12.4", VIOLATION,
        lambda side: [stream(side.mine(), b"x")], space=HANDSHAKE),
    Row("NEW_CONNECTION_ID in Handshake", "RFC 9000 §12.4", VIOLATION,
        lambda side: [new_connection_id(1)], space=HANDSHAKE),
    Row("HANDSHAKE_DONE in Handshake", "RFC 9000 §12.4", VIOLATION,
        lambda side: [HANDSHAKE_DONE], space=HANDSHAKE),
    Row("application's close in Handshake", "RFC 9000 §12.5", VIOLATION,
        lambda side: [b"\x1d\x00\x00"], space=HANDSHAKE),
    Row("reserved bits in Initial", "RFC 9000 §17.2", VIOLATION | STAYS_OPEN,
        lambda side: [PING], space=INITIAL, reserved=3),
    Row("CRYPTO with a gap in Initial", "RFC 9000 §7.5", CRYPTO_BUFFER | STAYS_OPEN,
        lambda side: [crypto(b"x", 1 << 20)], space=INITIAL),
    Row("DATAGRAM that ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [datagram(b"x" * 100)[:50]]),
]

# What an honest peer would hardly send, and nobody forbids in small numbers.
ODDITIES = [
    Row("unknown protocol only", "RFC 9001 §8.1", NO_PROTOCOL, hello="unknown-alpn",
        victim="server"),
    Row("active_connection_id_limit of 1", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x0E: varint(1)}),
    Row("initial_max_streams above 2^60", "RFC 9000 §18.2", PARAMETERS | FRAME_ENCODING,
        parameters={0x08: varint((1 << 60) + 1)}),
    Row("initial_source_connection_id of another", "RFC 9000 §7.3", PARAMETERS,
        parameters={0x0F: b"somebody"}),
    Row("no original_destination_connection_id", "RFC 9000 §7.3", PARAMETERS,
        parameters={0x00: None}, victim="client"),
    Row("original_destination_connection_id of another", "RFC 9000 §7.3", PARAMETERS,
        parameters={0x00: b"somebody"}, victim="client"),
    Row("retry_source_connection_id without Retry", "RFC 9000 §7.3", PARAMETERS,
        parameters={0x10: b"somebody"}, victim="client"),
    Row("preferred_address without a connection ID", "RFC 9000 §18.2", PARAMETERS,
        parameters={0x0D: bytes(24) + b"\x00" + bytes(16)}, victim="client"),
    Row("parameter with bytes too many", "RFC 9000 §7.4", PARAMETERS,
        parameters={0x04: varint(1 << 20) + b"\x00"}),
    Row("unknown parameter", "RFC 9000 §7.4.2", STAYS_OPEN, parameters={0x1F4B: b"greased"}),
    Row("packets of PADDING", "RFC 9000 §19.1", STAYS_OPEN,
        lambda side: [PADDING * 1000] * 20),
    Row("a thousand PINGs", "RFC 9000 §19.2", STAYS_OPEN, lambda side: [PING * 100] * 10),
    Row("300 PATH_CHALLENGEs", "RFC 9000 §8.2", STAYS_OPEN,
        lambda side: [
            b"".join(path_challenge(number.to_bytes(8, "big")) for number in range(start, start + 30))
            for start in range(0, 300, 30)]),
    Row("300 connection IDs, each retires the one before", "RFC 9000 §5.1.2",
        STAYS_OPEN | ID_LIMIT | VIOLATION | transport(0x1),
        lambda side: [
            b"".join(new_connection_id(number, number) for number in range(start, start + 30))
            for start in range(20, 320, 30)]),
    # The server resets its own half of them.
    Row("80 streams opened and reset", "RFC 9000 §3.2", STAYS_OPEN | stream_error(0x1),
        lambda side: [
            b"".join(
                stream(side.mine(number), b"x") + reset_stream(side.mine(number), 1)
                for number in range(start, start + 20))
            for start in range(10, 90, 20)], victim="server"),
    Row("1200 gaps in a stream", "RFC 9000 §2.2", STAYS_OPEN,
        lambda side: [
            b"".join(stream(side.mine(5), b"x", 2 * offset + 1) for offset in range(start, start + 60))
            for start in range(0, 1200, 60)], victim="server"),
    Row("limits that never end", "RFC 9000 §19.9", STAYS_OPEN,
        lambda side: [
            max_data(VARINT_MAX) + max_streams(1 << 60) + max_streams(1 << 60, uni=True)
            + max_data(0) + max_streams(0)]),
    # ngtcp2 takes a limit beyond its own as the attempt to exceed it.
    Row("blocked by everything", "RFC 9000 §19.12", STAYS_OPEN | FLOW_CONTROL,
        lambda side: [
            data_blocked(VARINT_MAX) + stream_data_blocked(side.mine(5), 1000)
            + streams_blocked(1 << 60)], victim="server"),
    Row("long form of a frame's type", "RFC 9000 §12.4", VIOLATION | FRAME_ENCODING | STAYS_OPEN,
        lambda side: [b"\x40\x01"]),
    Row("close whose reason ends early", "RFC 9000 §12.4", FRAME_ENCODING,
        lambda side: [b"\x1c\x00\x00\x40\xffx"]),
]

TABLES = {"known": KNOWN, "frames": FRAMES, "oddities": ODDITIES}
