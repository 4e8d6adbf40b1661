"""Initial packets of QUIC version 1 (RFC 9001 §5.2): their keys are no secret, so anybody can make them."""

import dataclasses
import functools
import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
VERSION = b"\x00\x00\x00\x01"
# What a client's first datagram has at least (RFC 9000 §14.1).
SIZE_MIN = 1200
TAG = 16
INITIAL, RETRY = 0, 3
PADDING, PING, ACK, ACK_ECN, CRYPTO, CLOSE = 0x00, 0x01, 0x02, 0x03, 0x06, 0x1C


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1) of one block."""
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + b"\x00\x01"
    return hmac.digest(secret, info, hashlib.sha256)[:size]


@functools.lru_cache(4096)
def _keys(dcid: bytes, side: bytes) -> tuple[AESGCM, int, bytes]:
    secret = _expand(hmac.digest(SALT, dcid, hashlib.sha256), side, 32)
    return (
        AESGCM(_expand(secret, b"quic key", 16)),
        int.from_bytes(_expand(secret, b"quic iv", 12), "big"),
        _expand(secret, b"quic hp", 16))


def _mask(key: bytes, sample: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(sample)


def _varint(value: int) -> bytes:
    return struct.pack("!H", value | 0x4000) if value < 1 << 14 else struct.pack("!I", value | 0x80000000)


def crypto_frame(offset: int, data: bytes) -> bytes:
    return bytes([CRYPTO]) + _varint(offset) + _varint(len(data)) + data


def seal(
    keys_of: bytes, dcid: bytes, scid: bytes, number: int, frames: bytes, token: bytes = b"",
) -> bytes:
    """A client's Initial, padded to a whole datagram; `keys_of` is the ID that the keys come from."""
    head = (
        b"\xc1" + VERSION + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid
        + _varint(len(token)) + token)
    frames += bytes(max(0, SIZE_MIN - len(head) - 4 - len(frames) - TAG))
    head += _varint(2 + len(frames) + TAG) + struct.pack("!H", number)
    aead, iv, header_key = _keys(keys_of, b"client in")
    body = aead.encrypt((iv ^ number).to_bytes(12, "big"), frames, head)
    mask = _mask(header_key, body[2:18])
    packet = bytearray(head + body)
    packet[0] ^= mask[0] & 0x0F
    packet[len(head) - 2] ^= mask[1]
    packet[len(head) - 1] ^= mask[2]
    return bytes(packet)


@dataclasses.dataclass
class Header:
    """The long header at the beginning of a datagram."""

    type: int
    version: bytes
    dcid: bytes
    scid: bytes
    # Of the token of an Initial or the rest of a Retry.
    start: int


def header(packet: bytes) -> Header | None:
    """Nothing for a short header, or none at all."""
    if len(packet) < 21 or packet[0] & 0xC0 != 0xC0:
        return None
    end = 6 + packet[5]
    start = end + 1 + packet[end]
    return Header(
        packet[0] >> 4 & 3, packet[1:5], packet[6:end], packet[end + 1:start], start)


def retry_token(packet: bytes, found: Header) -> bytes:
    """What a Retry asks to be repeated."""
    return packet[found.start:-TAG]


def _pull(data: bytes, at: int) -> tuple[int, int]:
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & (1 << 8 * size - 2) - 1, at + size


def open_initial(packet: bytes, keys_of: bytes, side: bytes) -> bytes | None:
    """The frames of the Initial at the beginning of a datagram; nothing if it is none."""
    found = header(packet)
    if found is None or found.type != INITIAL or found.version != VERSION:
        return None
    size, at = _pull(packet, found.start)
    length, at = _pull(packet, at + size)
    aead, iv, header_key = _keys(keys_of, side)
    mask = _mask(header_key, packet[at + 4:at + 20])
    first = packet[0] ^ mask[0] & 0x0F
    count = (first & 3) + 1
    number = bytes(one ^ other for one, other in zip(packet[at:at + count], mask[1:]))
    head = bytes([first]) + packet[1:at] + number
    nonce = (iv ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    try:
        return aead.decrypt(nonce, packet[at + count:at + length], head)
    except InvalidTag:
        return None


def crypto_data(frames: bytes) -> bytes:
    """The CRYPTO bytes of a packet that has nothing else but PADDING, PING and ACK."""
    found, at = {}, 0
    while at < len(frames):
        kind = frames[at]
        at += 1
        if kind in (PADDING, PING):
            continue
        if kind != CRYPTO:
            break
        offset, at = _pull(frames, at)
        size, at = _pull(frames, at)
        found[offset] = frames[at:at + size]
        at += size
    return b"".join(found[offset] for offset in sorted(found))


def closes(frames: bytes) -> int | None:
    """The code of CONNECTION_CLOSE, where a packet has one before anything that is not skipped here."""
    at = 0
    while at < len(frames):
        kind = frames[at]
        at += 1
        if kind == CLOSE:
            return _pull(frames, at)[0]
        if kind in (ACK, ACK_ECN):
            _, at = _pull(frames, at)
            _, at = _pull(frames, at)
            ranges, at = _pull(frames, at)
            for _ in range(1 + 2 * ranges + (3 if kind == ACK_ECN else 0)):
                _, at = _pull(frames, at)
        elif kind == CRYPTO:
            _, at = _pull(frames, at)
            size, at = _pull(frames, at)
            at += size
        elif kind not in (PADDING, PING):
            return None
    return None


def initials(hello: bytes, scid: bytes, count: int) -> list[bytes]:
    """The same ClientHello under as many destination IDs; the source ID stands in it as well."""
    frames = crypto_frame(0, hello)
    return [seal(dcid, dcid, scid, 0, frames) for dcid in (os.urandom(18) for _ in range(count))]


def garbage(count: int) -> list[bytes]:
    """What looks like an Initial, and cannot be decrypted."""
    head = b"\xc1" + VERSION + b"\x12"
    return [
        head + os.urandom(18) + b"\x08" + os.urandom(8) + b"\x00" + _varint(SIZE_MIN - 36)
        + os.urandom(SIZE_MIN - 36) for _ in range(count)]
