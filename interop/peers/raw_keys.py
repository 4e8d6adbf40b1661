"""What aioquic lacks of qtun/1: raw public keys (RFC 7250), and TLS's exporter (RFC 8446 §7.5)."""

import hashlib
import hmac

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lawless import LawlessConnection

# RFC 8410 §4: what stands in front of the 32 bytes of an Ed25519 key.
KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
CLIENT_CERTIFICATE_TYPE, SERVER_CERTIFICATE_TYPE, RAW_PUBLIC_KEY = 19, 20, b"\x02"


class RawKey:
    """Stands where aioquic expects a certificate."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def public_bytes(self, _) -> bytes:
        return self._encoded

    def public_key(self):
        return serialization.load_der_public_key(self._encoded)

    @property
    def identity(self) -> bytes:
        return self._encoded.removeprefix(KEY_PREFIX)


def configuration(alpn: str, is_client: bool, key: Ed25519PrivateKey) -> QuicConfiguration:
    made = QuicConfiguration(
        alpn_protocols=[alpn], is_client=is_client, verify_mode=tls.ssl.CERT_NONE,
        connection_id_length=8, max_datagram_frame_size=65535)
    made.certificate = RawKey(identity_of(key).join([KEY_PREFIX, b""]))
    made.private_key = key
    return made


def identity_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


class KeyedConnection(LawlessConnection):
    """A connection whose sides are known by their keys."""

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        offer = b"\x01" + RAW_PUBLIC_KEY if self._is_client else RAW_PUBLIC_KEY
        self.tls.handshake_extensions += [
            (CLIENT_CERTIFICATE_TYPE, offer), (SERVER_CERTIFICATE_TYPE, offer)]
        self.tls._request_client_certificate = not self._is_client
        self.tls._signature_algorithms = [tls.SignatureAlgorithm.ED25519]
        self.tls._set_peer_certificate = self._take_key
        self._set_up_keys = self.tls._setup_traffic_protection
        self.tls._setup_traffic_protection = self._keep_exporter

    def _take_key(self, certificate: tls.Certificate) -> None:
        self.tls._peer_certificate = RawKey(certificate.certificates[0][0])

    def _keep_exporter(self, direction, epoch, label: bytes) -> None:
        if epoch == tls.Epoch.ONE_RTT:
            # The transcript ends with the server's Finished now.
            self._exporter_secret = self.tls.key_schedule.derive_secret(b"exp master")
        self._set_up_keys(direction, epoch, label)

    def export(self, label: bytes, count: int) -> bytes:
        """TLS-Exporter with an empty context."""
        schedule = self.tls.key_schedule
        empty = getattr(hashlib, schedule.algorithm.name)(b"").digest()
        secret = tls.hkdf_expand_label(
            schedule.algorithm, self._exporter_secret, label, empty, len(empty))
        return tls.hkdf_expand_label(schedule.algorithm, secret, b"exporter", empty, count)

    def proof(self, capability: bytes) -> bytes:
        """docs/protocol.md, The proof."""
        exported = self.export(b"EXPORTER-qtun-capability", 32)
        return hmac.digest(capability, b"qtun/1 capability" + exported, "sha256")
