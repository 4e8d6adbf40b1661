"""Peers that break qtun's own rules, one at a time, and an honest one behind each."""

import functools
import signal

from cli.group import Group
from cli.sockets import echo
from cli.stage import Stage, end, first_line
from cli.websites import Relay, open_site, share_site
from harness.process import Process
from harness.suite import require
from harness.workspace import free_port
from hostile.tables import judge
from rules import http3, stranger, talk

GROUP = Group("hostile")
SECONDS = 90


def _talk(stage: Stage, victim: Process, table: str, *options: object) -> None:
    attacker = stage.workspace.start("lawless-talker", [
        stage.tools.python, "-B", stage.tools.interop / "peers" / "lawless_talker.py", table, *options,
    ])
    require(attacker.wait(SECONDS) == 0, f"the attacker's exit status is {attacker.status}")
    require(victim.is_running, f"{victim.name} died, exit status {victim.status}")
    judge(attacker.facts(), len(talk.TABLES[table]))


@GROUP.case(f"hostile-dialers x{len(talk.TO_SHARE)}", seconds=SECONDS)
def _dialers(stage: Stage) -> None:
    share = stage.share(stage.service(echo).port)
    _talk(stage, share.process, "share", "--ticket", share.ticket)


@GROUP.case(f"hostile-nodes x{len(talk.TO_RELAY)}", seconds=SECONDS)
def _nodes(stage: Stage) -> None:
    # With a token in its list it serves no node without one.
    stage.run("token", "add")
    relay = stage.start("relay", "--listen", "127.0.0.1:0")
    _talk(stage, relay, "relay", "--relay", first_line(relay))


class Hall:
    """A share or a relay that breaks a rule on each connection."""

    def __init__(self, stage: Stage, table: str) -> None:
        self._rows = talk.TABLES[table]
        self._process = stage.workspace.start("lawless-hall", [
            stage.tools.python, "-B", stage.tools.interop / "peers" / "lawless_hall.py", table,
            "--port", free_port(),
        ])
        require(bool(self._process.wait_for(self._process.facts)), "the hall does not open")
        self.name = self._process.facts()[0]["name"]

    @property
    def rows(self) -> range:
        return range(len(self._rows))

    @property
    def greetings(self) -> list[int]:
        """Those whose greeting itself is wrong."""
        return [number for number, row in enumerate(self._rows)
                if row.greeting is not None and row.ends_connection]

    def wait(self, number: int) -> None:
        """Waits for the outcome of this row."""
        found = self._process.wait_for(lambda: len(self._process.facts()) > number + 1, seconds=10)
        require(bool(found), f"nobody came for row {number}: {self._rows[number].name}")

    def judge(self) -> None:
        judge([fact | {"next_ms": 0} for fact in self._process.facts()[1:]], len(self._rows))


@GROUP.case(f"hostile-shares x{len(talk.TO_CONNECT)}", seconds=SECONDS)
def _shares(stage: Stage) -> None:
    hall = Hall(stage, "connect")
    honest = stage.share(stage.service(echo).port)
    for number in hall.rows:
        connect = stage.start("connect", hall.name, "0", "--retry", "never")
        hall.wait(number)
        status = connect.wait(5)
        require(status is not None and status > 0, f"row {number}: exit status {status}")
        if number in hall.greetings:
            require("the peer answered, and broke the protocol" in connect.errors(),
                    f"row {number}: it does not say what the peer did: {connect.errors()}")
    hall.judge()
    stage.connect(honest.ticket)


@GROUP.case(f"hostile-relays x{len(talk.TO_NODE)}", seconds=SECONDS)
def _relays(stage: Stage) -> None:
    hall = Hall(stage, "node")
    for number in hall.rows:
        share = stage.start("share", 1, "--listen", "127.0.0.1:0", "--rendezvous", hall.name)
        hall.wait(number)
        # It goes on without this relay, as any share does whose relay is gone.
        require(share.is_running, f"row {number}: the share died, exit status {share.status}")
        end(share, signal.SIGTERM)
    hall.judge()


# Whoever knows the port may be one of these.
VISITORS = http3.TABLES | stranger.TABLES


def _visit(table: str, count: int, stage: Stage) -> None:
    """Visitors by HTTP/3 where HTTPS ends at a relay; what they ask for is shared."""
    certificates = stage.tools.certificates
    relay = Relay(
        stage, "--names", "localhost", "--certificate", certificates.chain, "--certificate-key",
        certificates.key)
    port, site = open_site(stage, "localhost")
    share = share_site(stage, relay, port, "--public", "localhost")
    attacker = stage.workspace.start("lawless-client", [
        stage.tools.python, "-B", stage.tools.interop / "peers" / "lawless_client.py", table,
        "--port", relay.tls, "--alpn", "h3", "--file", "small",
    ])
    require(attacker.wait(SECONDS) == 0, f"the attacker's exit status is {attacker.status}")
    for process in relay.process, share:
        require(process.is_running, f"{process.name} died, exit status {process.status}")
    judge(attacker.facts(), count)
    require(site.seen.count("/small localhost") >= count, "honest visitors did not reach the site")


for _table, _rows in VISITORS.items():
    _count = sum(row.victim != "client" for row in _rows)
    GROUP.case(f"hostile-visitors {_table} x{_count}", seconds=SECONDS)(
        functools.partial(_visit, _table, _count))
