"""A client of aioquic that fetches files by HTTP/0.9 or HTTP/3."""

import argparse
import asyncio
import pathlib

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h0.connection import H0_ALPN, H0Connection
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamReset
from aioquic.tls import CipherSuite

from facts import FactCollector, FactLogger, report


class FetchError(Exception):
    """A file did not come."""


class FileClient(QuicConnectionProtocol):
    """Fetches files, several at once."""

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.collector = FactCollector(self._quic)
        is_http3 = self._quic.configuration.alpn_protocols == H3_ALPN
        self._http = (H3Connection if is_http3 else H0Connection)(self._quic)
        self._bodies: dict[int, bytearray] = {}
        self._waiters: dict[int, asyncio.Future] = {}

    async def fetch(self, authority: str, path: str) -> bytes:
        stream = self._quic.get_next_available_stream_id()
        self._bodies[stream] = bytearray()
        self._waiters[stream] = self._loop.create_future()
        headers = {
            ":method": "GET", ":scheme": "https", ":authority": authority, ":path": path,
        }
        self._http.send_headers(
            stream, [(name.encode(), value.encode()) for name, value in headers.items()],
            end_stream=True)
        self.transmit()
        return await self._waiters[stream]

    def quic_event_received(self, event: QuicEvent) -> None:
        self.collector.observe(event)
        if isinstance(event, StreamReset):
            self._fail(event.stream_id, f"reset with code {event.error_code}")
        elif isinstance(event, ConnectionTerminated):
            for stream in list(self._waiters):
                self._fail(stream, f"connection closed with code {event.error_code:#x}")
        for http_event in self._http.handle_event(event):
            self._http_event_received(http_event)

    def _http_event_received(self, event) -> None:
        if isinstance(event, HeadersReceived):
            status = dict(event.headers).get(b":status", b"200")
            if status != b"200":
                self._fail(event.stream_id, f"status {status.decode()}")
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            waiter = self._waiters.pop(event.stream_id, None)
            if waiter and not waiter.done():
                waiter.set_result(bytes(self._bodies.pop(event.stream_id)))

    def _fail(self, stream: int, reason: str) -> None:
        waiter = self._waiters.pop(stream, None)
        if waiter and not waiter.done():
            waiter.set_exception(FetchError(reason))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", required=True, help="file with the CA's certificate")
    parser.add_argument("--downloads", type=pathlib.Path, required=True)
    parser.add_argument("--alpn", choices=["hq-interop", "h3"], required=True)
    parser.add_argument("--cipher")
    parser.add_argument("--version", type=lambda text: int(text, 0), action="append", default=[],
                        help="versions that are offered, the first one for the first packet")
    parser.add_argument("--key-update", action="store_true")
    parser.add_argument("--resume", action="store_true",
                        help="the first file on one connection, the others on a resumed one")
    parser.add_argument("--each", action="store_true", help="a connection for every file")
    parser.add_argument("--key-log", type=pathlib.Path, help="file for TLS secrets")
    parser.add_argument("--max-data", type=int, default=1_048_576)
    parser.add_argument("names", nargs="+")
    return parser.parse_args()


def make_configuration(options: argparse.Namespace) -> QuicConfiguration:
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN if options.alpn == "h3" else H0_ALPN, is_client=True,
        server_name="localhost", quic_logger=FactLogger(), max_data=options.max_data,
        max_stream_data=options.max_data)
    configuration.load_verify_locations(options.authority)
    if options.key_log:
        configuration.secrets_log_file = options.key_log.open("a", buffering=1)
    if options.cipher:
        configuration.cipher_suites = [CipherSuite[options.cipher]]
    if options.version:
        configuration.supported_versions = options.version
    return configuration


async def keep_alive(client: FileClient) -> None:
    """Who only receives has nothing to say once all is acknowledged, also not that a NAT has given
    it another address meanwhile."""
    while True:
        await asyncio.sleep(1)
        await client.ping()


async def visit(options: argparse.Namespace, names: list[str], ticket):
    """Fetches some files on one connection. Returns the session ticket that it brought."""
    configuration = make_configuration(options)
    configuration.session_ticket = ticket
    tickets = []
    async with connect(
        options.host, options.port, configuration=configuration, create_protocol=FileClient,
        session_ticket_handler=tickets.append,
    ) as client:
        if options.key_update:
            client.request_key_update()
        authority = f"localhost:{options.port}"
        asking = asyncio.create_task(keep_alive(client))
        try:
            bodies = await asyncio.gather(*[client.fetch(authority, f"/{name}") for name in names])
        finally:
            asking.cancel()
        for name, body in zip(names, bodies):
            (options.downloads / name).write_bytes(body)
        if not options.each:
            # The acknowledgement of a PING shows that what was sent before has been dealt with.
            await client.ping()
    report(**client.collector.facts)
    return tickets[-1] if tickets else None


async def main() -> None:
    options = parse_arguments()
    if options.resume:
        ticket = await visit(options, options.names[:1], None)
        if ticket is None:
            raise FetchError("the server sent no session ticket")
        await visit(options, options.names[1:], ticket)
    elif options.each:
        for name in options.names:
            await visit(options, [name], None)
    else:
        await visit(options, options.names, None)


if __name__ == "__main__":
    asyncio.run(main())
