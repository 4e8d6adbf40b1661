"""The file server of aioquic with one thing wrong with it.

    hostile_server.py --attack ATTACK [--seed SEED] and the options of aioquic_server.py
"""

import asyncio
import sys

import aioquic.asyncio.server
from aioquic.quic.events import HandshakeCompleted, QuicEvent

import aioquic_server
import hostile

CONNECTIONS = {
    "early-retirement": hostile.EarlyRetirement,
    "endless-hello": hostile.EndlessServer,
}


class KeyUpdateServer(aioquic_server.FileServer):
    """Sends a TLS KeyUpdate as soon as it may send CRYPTO frames in 1-RTT packets."""

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            hostile.send_tls_key_update(self._quic)
        super().quic_event_received(event)


class NoisyServer(aioquic_server.FileServer):
    """Sends empty datagrams and garbage ahead of each honest datagram."""

    noise: hostile.Noise

    def transmit(self) -> None:
        peer = self._quic.get_peer_address()
        if peer is not None:
            with hostile.duplicate(self._transport) as sender:
                sender.sendto(b"", peer)
                sender.sendto(self.noise.datagram(), peer)
        super().transmit()


def main() -> None:
    parser = aioquic_server.arguments()
    parser.add_argument(
        "--attack", required=True, choices=["tls-key-update", "noise", *CONNECTIONS])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    NoisyServer.noise = hostile.Noise(options.seed)
    protocols = {"tls-key-update": KeyUpdateServer, "noise": NoisyServer}
    if options.attack in CONNECTIONS:
        # The server makes its connections by this name.
        aioquic.asyncio.server.QuicConnection = CONNECTIONS[options.attack]
    asyncio.run(
        aioquic_server.run(options, protocols.get(options.attack, aioquic_server.FileServer)))


if __name__ == "__main__":
    main()
