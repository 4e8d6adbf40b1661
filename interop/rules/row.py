"""One line of a table."""

import dataclasses
from collections.abc import Callable, Sequence

# What may come of it. Errors of the transport and of the application are of separate spaces.
OPEN = "open"


def transport(*codes: int) -> frozenset[str]:
    """CONNECTION_CLOSE of type 0x1c with one of these codes."""
    return frozenset(f"transport {code:#x}" for code in codes)


def application(*codes: int) -> frozenset[str]:
    """CONNECTION_CLOSE of type 0x1d with one of these codes."""
    return frozenset(f"application {code:#x}" for code in codes)


def stream(*codes: int) -> frozenset[str]:
    """RESET_STREAM or STOP_SENDING with one of these codes, and the connection goes on."""
    return frozenset(f"stream {code:#x}" for code in codes)


STAYS_OPEN = frozenset([OPEN])


@dataclasses.dataclass(frozen=True)
class Side:
    """The names that things have for whoever breaks the rules."""

    is_client: bool

    def mine(self, number: int = 0, uni: bool = False) -> int:
        """A stream that is the attacker's to open."""
        return 4 * number + 2 * uni + (not self.is_client)

    def yours(self, number: int = 0, uni: bool = False) -> int:
        """A stream that is the victim's to open."""
        return 4 * number + 2 * uni + self.is_client


# The payloads of packets, in the order in which they are sent.
Payloads = Callable[[Side], Sequence[bytes]]

INITIAL, EARLY, HANDSHAKE, APPLICATION = "initial", "0-rtt", "handshake", "1-rtt"


@dataclasses.dataclass(frozen=True)
class Row:
    """What is sent, in which kind of packet, and what must come of it."""

    name: str
    # The section that forbids it, or that says how it is to be taken.
    rule: str
    expected: frozenset[str]
    send: Payloads | None = None
    space: str = APPLICATION
    # The two reserved bits of the first byte.
    reserved: int = 0
    # Changes of the transport parameters, by number; None takes one away.
    parameters: dict[int, bytes | None] = dataclasses.field(default_factory=dict)
    # Goes to TLS ahead of what the attacker would honestly say in Handshake packets.
    handshake_message: bytes = b""
    # What is wrong with the hello itself: no-alpn, unknown-alpn, no-parameters, draft-parameters.
    hello: str = ""
    # Whole datagrams from a socket that has no connection.
    datagrams: Callable[[], Sequence[bytes]] | None = None
    # Whole datagrams in front of a server's first, by the client's first two connection IDs.
    ahead: Callable[[bytes, bytes], Sequence[bytes]] | None = None
    # Instead of the attacker's first flight, not behind it.
    alone: bool = False
    # Which side of ours it is for: server, client or both.
    victim: str = "both"
