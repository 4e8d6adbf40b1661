"""What happened on a connection of aioquic, printed as one JSON object per line."""

import itertools
import json

from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionIdRetired,
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
)
from aioquic.quic.logger import QuicLogger, QuicLoggerTrace


_numbers = itertools.count()


def report(**facts) -> None:
    """Prints one object; whoever started us reads it."""
    print(json.dumps(facts), flush=True)


class FactLogger(QuicLogger):
    """Hands out traces that count instead of storing."""

    def start_trace(self, is_client: bool, odcid: bytes) -> QuicLoggerTrace:
        return FactTrace(is_client=is_client, odcid=odcid)

    def end_trace(self, trace: QuicLoggerTrace) -> None:
        pass


class FactTrace(QuicLoggerTrace):
    """Counts packets by type, and notes who started key updates."""

    def __init__(self, *, is_client: bool, odcid: bytes) -> None:
        super().__init__(is_client=is_client, odcid=odcid)
        self.received: dict[str, int] = {}
        self.key_updates: set[str] = set()

    def log_event(self, *, category: str, event: str, data: dict) -> None:
        if event == "packet_received":
            kind = data["header"]["packet_type"]
            self.received[kind] = self.received.get(kind, 0) + 1
        elif event == "key_updated" and data["trigger"].endswith("_update"):
            self.key_updates.add(data["trigger"].removesuffix("_update"))


class FactCollector:
    """Follows the events of one connection."""

    def __init__(self, quic: QuicConnection) -> None:
        self._quic = quic
        # aioquic lets go of its trace when the connection ends.
        self._trace: FactTrace = quic._quic_logger
        self._first_id = quic.host_cid
        # Connections do not end in the order in which they began.
        self.facts: dict = {
            "number": next(_numbers), "handshake": False, "retired_first_id": False,
        }

    def observe(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            self.facts |= {
                "handshake": True,
                "alpn": event.alpn_protocol,
                "resumed": event.session_resumed,
                "cipher": self._quic.tls.key_schedule.cipher_suite.name,
            }
        elif isinstance(event, ConnectionIdRetired):
            if event.connection_id == self._first_id:
                self.facts["retired_first_id"] = True
        elif isinstance(event, ConnectionTerminated):
            self.facts |= {
                "version": self._quic._version,
                "received": self._trace.received,
                "key_updates": sorted(self._trace.key_updates),
                "close_code": event.error_code,
                # A transport error names a frame type, an application's close does not.
                "close_is_transport": event.frame_type is not None,
            }
