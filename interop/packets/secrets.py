"""TLS secrets as SSLKEYLOGFILE has them, found by the random of a ClientHello."""

import pathlib

LABELS = {
    ("client", "0rtt"): "CLIENT_EARLY_TRAFFIC_SECRET",
    ("client", "handshake"): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    ("server", "handshake"): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    ("client", "1rtt"): "CLIENT_TRAFFIC_SECRET_0",
    ("server", "1rtt"): "SERVER_TRAFFIC_SECRET_0",
}


class KeyLog:
    """What any of several files has."""

    def __init__(self, *paths: pathlib.Path) -> None:
        self._secrets: dict[tuple[str, bytes], bytes] = {}
        for path in paths:
            text = path.read_text(errors="replace") if path.exists() else ""
            for line in text.splitlines():
                words = line.split()
                if len(words) == 3 and not line.startswith("#"):
                    random, secret = bytes.fromhex(words[1]), bytes.fromhex(words[2])
                    self._secrets[words[0], random] = secret

    def secret(self, sender: str, level: str, random: bytes) -> bytes | None:
        # A damaged packet may seem to be of a type that its sender never sends.
        return self._secrets.get((LABELS.get((sender, level), ""), random))
