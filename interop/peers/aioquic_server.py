"""A file server of aioquic for HTTP/0.9 and HTTP/3."""

import argparse
import asyncio
import pathlib

import aioquic.tls
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h0.connection import H0_ALPN, H0Connection
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, QuicEvent
from aioquic.tls import CipherSuite

from facts import FactCollector, FactLogger, report


_pull_client_hello = aioquic.tls.pull_client_hello
_server_names: list[str | None] = []


def _note_server_name(buffer):
    # aioquic keeps the server name that it was asked for to itself.
    hello = _pull_client_hello(buffer)
    _server_names.append(hello.server_name)
    return hello


class FileServer(QuicConnectionProtocol):
    """Answers requests with the files of `www`; reports each connection when it ends."""

    www = pathlib.Path()

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self._collector = FactCollector(self._quic)
        self._http = None
        self._paths: dict[int, str] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        self._collector.observe(event)
        if isinstance(event, ConnectionTerminated):
            report(server_names=_server_names, **self._collector.facts)
        elif isinstance(event, ProtocolNegotiated):
            is_http3 = event.alpn_protocol in H3_ALPN
            self._http = (H3Connection if is_http3 else H0Connection)(self._quic)
        if self._http is not None:
            for http_event in self._http.handle_event(event):
                self._http_event_received(http_event)

    def _http_event_received(self, event) -> None:
        if isinstance(event, HeadersReceived):
            self._paths[event.stream_id] = dict(event.headers)[b":path"].decode()
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self._answer(event.stream_id, self._paths.pop(event.stream_id))

    def _answer(self, stream: int, path: str) -> None:
        file = self.www / pathlib.PurePosixPath(path).name
        status = b"200" if file.is_file() else b"404"
        self._http.send_headers(stream, [(b":status", status)], end_stream=status != b"200")
        if status == b"200":
            self._http.send_data(stream, file.read_bytes(), end_stream=True)
        self.transmit()


def arguments() -> argparse.ArgumentParser:
    """The options, also those of the hostile server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--www", type=pathlib.Path, required=True)
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--cipher")
    parser.add_argument("--key-log", type=pathlib.Path, help="file for TLS secrets")
    return parser


async def run(options: argparse.Namespace, create_protocol=FileServer) -> None:
    """Serves until the process is ended."""
    FileServer.www = options.www
    aioquic.tls.pull_client_hello = _note_server_name
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN + H0_ALPN, is_client=False, quic_logger=FactLogger())
    configuration.load_cert_chain(options.certificate, options.key)
    if options.key_log:
        configuration.secrets_log_file = options.key_log.open("a", buffering=1)
    if options.cipher:
        configuration.cipher_suites = [CipherSuite[options.cipher]]
    tickets: dict[bytes, object] = {}
    await serve(
        options.host, options.port, configuration=configuration, create_protocol=create_protocol,
        retry=options.retry, session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}))
    report(listening=options.port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
