"""The runner's cases: what is transferred, over which link, and what must be seen."""

import dataclasses
import functools
from collections.abc import Callable

from matrix import rules
from matrix.rules import Figure
from matrix.verdict import Evidence

KB, MB = 1024, 1 << 20
# One-way delay 15 ms, 10 Mbit/s, 25 packets that wait: the runner's default.
DELAY = "delay 15ms"
LINE = ["rate 10mbit", "queue 1M", "queuelength 25"]
SECONDS = 60
SECONDS_OF_LOSS = 300


@dataclasses.dataclass(frozen=True)
class Bar:
    """What the project asks of a figure beyond the runner's rule."""

    at_most: float | None = None
    at_least: float | None = None

    def is_met(self, figure: Figure) -> bool:
        return not (
            (self.at_most is not None and figure.value > self.at_most)
            or (self.at_least is not None and figure.value < self.at_least))

    def __str__(self) -> str:
        return f"at most {self.at_most}" if self.at_least is None else f"at least {self.at_least}"


@dataclasses.dataclass(frozen=True)
class Case:
    """One case; `client` and `server` are the TESTCASE of either side."""

    name: str
    client: str
    files: dict[str, int]
    rule: Callable[[Evidence], Figure | None]
    server: str = ""
    link: tuple[str, ...] = ()
    # Lines for the link, and when: seconds after the client began.
    schedule: tuple[tuple[float, str], ...] = ()
    seconds: float = SECONDS
    bar: Bar = Bar()
    is_ipv6: bool = False
    has_long_chain: bool = False
    has_cross_traffic: bool = False
    # What it measures is the server's doing, which sends the files: no bar for a foreign one.
    is_of_server: bool = False
    is_short: bool = False

    @property
    def server_case(self) -> str:
        return self.server or self.client

    @property
    def is_measured(self) -> bool:
        """Whether it needs a machine that has time for it."""
        return isinstance(self.rule, functools.partial)

    @property
    def lines(self) -> list[str]:
        """What the link is told before anything starts."""
        return [*LINE, DELAY, *self.link]


def _files(*sizes: int) -> dict[str, int]:
    return {f"file{number:04}": size for number, size in enumerate(sizes)}


def _rebinds(what: str) -> tuple[tuple[float, str], ...]:
    return tuple((seconds, f"rebind {what}") for seconds in range(1, SECONDS, 5))


def _rate(name: str, size: int, at_least: float | None = None, **others) -> Case:
    """How fast the server sends one file, in Mbit/s."""
    return Case(
        name, "transfer", _files(size), functools.partial(rules.goodput, size=size),
        bar=Bar(at_least=at_least), is_of_server=True, **others)


LOSS_30, LOSS_2 = "udp loss 30% atmost 3", "udp loss 2% atmost 3"
CORRUPT_30, CORRUPT_2 = "udp corrupt 30% head 50", "udp corrupt 2% head 50"

CASES = [
    Case("handshake", "handshake", _files(KB), rules.no_retry, is_short=True),
    Case("transfer", "transfer", _files(2 * MB, 3 * MB, 5 * MB), rules.plain),
    Case("longrtt", "handshake", _files(KB), rules.long_rtt, link=("delay 750ms",),
         bar=Bar(at_most=8)),
    Case("chacha20", "chacha20", _files(3 * MB), rules.chacha20),
    Case("multiplexing", "transfer", _files(*[32] * 1999), rules.multiplexing),
    Case("retry", "retry", _files(10 * KB), rules.retry, is_short=True),
    Case("resumption", "resumption", _files(5 * KB, 10 * KB), rules.resumption, is_short=True),
    Case("zerortt", "zerortt", {f"{n:0250}": 32 for n in range(40)}, rules.plain),
    Case("http3", "http3", _files(5 * KB, 10 * KB, 500 * KB), rules.plain, is_short=True),
    Case("blackhole", "transfer", _files(10 * MB), rules.took, bar=Bar(at_most=25),
         schedule=((5, "udp blackhole on"), (7, "udp blackhole off"))),
    Case("keyupdate", "keyupdate", _files(3 * MB), rules.key_update, server="transfer"),
    Case("ecn", "ecn", _files(100 * KB), rules.ecn, is_short=True),
    Case("amplificationlimit", "transfer", _files(5 * KB), rules.amplification,
         link=("a>b udp drop 2 7",), has_long_chain=True,
         bar=Bar(at_most=3.0), is_of_server=True),
    Case("handshakeloss", "multiconnect", _files(*[KB] * 50), rules.fifty, link=(LOSS_30,),
         seconds=SECONDS_OF_LOSS, bar=Bar(at_most=90)),
    # More than CUBIC can have: with 2 % loss and 30 ms its mean window is some nine packets
    # (RFC 9438 §5.1), which is 3.3 Mbit/s.
    _rate("transferloss", 2 * MB, at_least=4, link=(LOSS_2,)),
    Case("handshakecorruption", "multiconnect", _files(*[KB] * 50), rules.fifty,
         link=(CORRUPT_30,), seconds=SECONDS_OF_LOSS, bar=Bar(at_most=90)),
    _rate("transfercorruption", 2 * MB, at_least=4, link=(CORRUPT_2,)),
    Case("ipv6", "transfer", _files(5 * KB, 10 * KB), rules.ipv6, is_ipv6=True),
    Case("v2", "v2", _files(KB), rules.version_2, is_short=True),
    Case("rebind-port", "transfer", _files(10 * MB), rules.rebound, schedule=_rebinds("port")),
    Case("rebind-addr", "transfer", _files(10 * MB), rules.rebound_address,
         schedule=_rebinds("address")),
    Case("connectionmigration", "transfer", _files(2 * MB), rules.migrated,
         server="connectionmigration", is_short=True),
    Case("versionnegotiation", "versionnegotiation", _files(KB), rules.version_negotiation,
         is_short=True),
    _rate("goodput", 10 * MB, at_least=9),
    _rate("crosstraffic", 25 * MB, has_cross_traffic=True, seconds=180),
]
