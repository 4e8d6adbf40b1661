"""A client of aioquic that attacks a server, and reports how the server ended it.

    hostile_client.py ATTACK --port PORT [--seed SEED]
"""

import argparse
import asyncio
import socket
import ssl

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import HandshakeCompleted, QuicEvent

import hostile
from facts import FactCollector, FactLogger, report

NOISE_DATAGRAMS = 3000
SECONDS_MAX = 15


class Attacker(QuicConnectionProtocol):
    """One connection that goes wrong on purpose."""

    sends_key_update = False

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.collector = FactCollector(self._quic)

    def quic_event_received(self, event: QuicEvent) -> None:
        self.collector.observe(event)
        if self.sends_key_update and isinstance(event, HandshakeCompleted):
            hostile.send_tls_key_update(self._quic)


async def attack(port: int, connection_type: type[QuicConnection]) -> None:
    """Connects, and reports once the server has closed."""
    configuration = QuicConfiguration(
        alpn_protocols=["hq-interop"], is_client=True, server_name="localhost",
        quic_logger=FactLogger(), verify_mode=ssl.CERT_NONE)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Attacker(connection_type(configuration=configuration)),
        local_addr=("127.0.0.1", 0))
    protocol.connect(("127.0.0.1", port))
    await asyncio.wait_for(protocol.wait_closed(), SECONDS_MAX)
    report(**protocol.collector.facts)
    transport.close()


def make_noise(port: int, seed: int) -> None:
    noise = hostile.Noise(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for _ in range(NOISE_DATAGRAMS):
            sender.send(noise.datagram())
    report(sent=NOISE_DATAGRAMS, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("attack", choices=["tls-key-update", "endless-hello", "noise"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.attack == "noise":
        make_noise(options.port, options.seed)
        return
    Attacker.sends_key_update = options.attack == "tls-key-update"
    is_endless = options.attack == "endless-hello"
    asyncio.run(attack(options.port, hostile.EndlessClient if is_endless else QuicConnection))


if __name__ == "__main__":
    main()
