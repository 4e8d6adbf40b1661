"""Which way a session goes: --path, --wait-direct, several relays, and relays that are killed."""

import json
import re
import signal
import time

from cli.group import Group
from cli.meeting_cases import Relay
from cli.sockets import dial, echo, receive_exactly
from cli.stage import Connect, Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("path")
NOT_DIRECT = 10


def _share(stage: Stage, relays: list[Relay], *options: str) -> str:
    """The ticket of an echo service that is reached through these relays alone."""
    words = [word for relay in relays for word in ("--rendezvous", relay.name)]
    service = stage.service(echo)
    share = stage.start(
        "share", service.port, "--listen", "127.0.0.1:0", "--no-addresses", *words, *options)
    ticket = first_line(share)
    for _ in relays:
        require_line(share, "rendezvous answers")
    return ticket


def _require_echo(connect: Connect) -> None:
    with dial(connect.port) as client:
        client.sendall(b"this way")
        require(receive_exactly(client, 8) == b"this way", "something else came back")


def _relay_in_use(process: Process, relays: list[Relay]) -> Relay:
    ports = re.findall(r"through the relay 127\.0\.0\.1:(\d+)", process.errors())
    require(bool(ports), f"no relay is in use: {process.errors()}")
    return next(relay for relay in relays if relay.port == int(ports[-1]))


@GROUP.case("direct")
def _direct(stage: Stage) -> None:
    """The relay introduces both sides, and moves nothing for them."""
    ticket = _share(stage, [Relay(stage)])
    connect = stage.connect(ticket, "--path", "direct")
    _require_echo(connect)
    require_line(connect.process, "connected.*direct udp")
    require("through the relay" not in connect.process.errors(), "something went through the relay")
    ping = stage.run("ping", ticket, "--path", "direct", "-c", "1")
    require_text(ping.output(), "direct")


@GROUP.case("direct-or-nothing")
def _direct_or_nothing(stage: Stage) -> None:
    """A share that stays on its relay is not reached directly, and each command says so by its status."""
    ticket = _share(stage, [Relay(stage)], "--path", "relay")
    for words in [
        ("connect", ticket, "0"), ("to", ticket, "-L", "0:x"), ("ping", ticket), ("pipe", ticket),
    ]:
        process = stage.run(*words, "--path", "direct", "--wait-direct", "1s", status=NOT_DIRECT)
        require_text(process.errors(), "no direct path", "--path auto")
    process = stage.run(
        "connect", ticket, "0", "--path", "direct", "--wait-direct", "1s", "--json", status=NOT_DIRECT)
    require('"not-direct"' in process.errors() + process.output(), "the status has no name")


@GROUP.case("relay")
def _relay(stage: Stage) -> None:
    """It stays there, although a direct path is a millisecond away."""
    relay = Relay(stage)
    ticket = _share(stage, [relay])
    connect = stage.connect(ticket, "--path", "relay", "-v")
    _require_echo(connect)
    require_line(connect.process, f"connected.*through the relay 127.0.0.1:{relay.port}")
    ping = stage.run("ping", ticket, "--path", "relay", "-c", "2")
    require_text(ping.output(), "relay")
    stage.run("ping", ticket, "--path", "relay", "--until-direct", "-c", "2", status=NOT_DIRECT)
    errors = connect.process.errors()
    require("punching" not in errors and "moved" not in errors, f"it left the relay:\n{errors}")
    # The older word for it.
    require_text(stage.run("ping", ticket, "--carrier", "relay", "-c", "1").output(), "relay")


@GROUP.case("relay-missing")
def _relay_missing(stage: Stage) -> None:
    service = stage.service(echo)
    ticket = stage.share(service.port).ticket
    process = stage.run("connect", ticket, "0", "--path", "relay", status=3)
    require_text(process.errors(), "names a relay", "--rendezvous")


@GROUP.case("wait-direct")
def _wait_direct(stage: Stage) -> None:
    """Nothing is opened before the session is direct, or the time is over."""
    ticket = _share(stage, [Relay(stage)])
    connect = stage.connect(ticket, "--wait-direct", "20s")
    require_line(connect.process, "direct udp")
    _require_echo(connect)
    ticket = _share(stage, [Relay(stage)], "--path", "relay")
    began = time.monotonic()
    connect = stage.connect(ticket, "--wait-direct", "2s")
    require(time.monotonic() - began >= 2, "it did not wait")
    require_line(connect.process, "no direct path in time")
    _require_echo(connect)


@GROUP.case("contradictions")
def _contradictions(stage: Stage) -> None:
    for words, part in [
        (("connect", "qtun1x", "--path", "relay", "--wait-direct", "1s"), "--wait-direct waits for"),
        (("connect", "qtun1x", "--carrier", "relay", "--path", "direct"), "contradict each other"),
        (("connect", "qtun1x", "--path", "realy"), "did you mean relay"),
        (("pipe", "--path", "direct"), "--path goes with a ticket only"),
        (("share", "3000", "--path", "relay"), "add --rendezvous"),
    ]:
        require_text(stage.run(*words, status=2).errors(), part)


@GROUP.case("one-of-two-relays-killed")
def _killed(stage: Stage) -> None:
    """kill -9 of the relay in use costs the open connection a moment; the other one takes over."""
    relays = [Relay(stage, key=key) for key in ("one", "two")]
    ticket = _share(stage, relays)
    connect = stage.connect(ticket, "--path", "relay")
    with dial(connect.port) as client:
        client.sendall(b"before")
        require(receive_exactly(client, 6) == b"before", "something else came back")
        # Both legs stand a few round trips later.
        time.sleep(1)
        used = _relay_in_use(connect.process, relays)
        used.process.send(signal.SIGKILL)
        client.sendall(b"after")
        require(receive_exactly(client, 5) == b"after", "something else came back")
    other = next(relay for relay in relays if relay is not used)
    require_line(connect.process, f"moved.*through the relay 127.0.0.1:{other.port}")
    # It comes back, is a spare again, and the other one may go.
    Relay(stage, port=used.port, key="one" if used is relays[0] else "two")
    require_line(connect.process, "(rendezvous answers(.|\n)*){3}", 20)
    time.sleep(1)
    other.process.send(signal.SIGKILL)
    _require_echo(connect)
    require_line(connect.process, f"moved.*through the relay 127.0.0.1:{used.port}")


@GROUP.case("relay-killed-and-restarted")
def _killed_and_restarted(stage: Stage) -> None:
    """The only relay dies under an open connection and is started again: the connection goes on."""
    relay = Relay(stage)
    ticket = _share(stage, [relay])
    connect = stage.connect(ticket, "--path", "relay")
    with dial(connect.port) as client:
        client.sendall(b"before")
        require(receive_exactly(client, 6) == b"before", "something else came back")
        relay.process.send(signal.SIGKILL)
        client.sendall(b"while")
        time.sleep(0.5)
        again = Relay(stage, port=relay.port)
        require(again.name == relay.name, "the relay has another name")
        require(receive_exactly(client, 5) == b"while", "something else came back")
    require(connect.process.is_running, "the session was given up")


@GROUP.case("relay-of-ones-own")
def _own_relay(stage: Stage) -> None:
    """A ticket without relays, and one on the command line that the share is registered at."""
    service = stage.service(echo)
    share = stage.share(service.port)
    port = share.invitation.udp_port
    require(end(share.process, signal.SIGTERM) == 0, "the share did not end well")
    share = stage.share(service.port, port=port)
    ticket = share.ticket
    end(share.process, signal.SIGTERM)
    relay = Relay(stage)
    again = stage.start(
        "share", service.port, "--listen", f"127.0.0.1:{port}", "--rendezvous", relay.name)
    first_line(again)
    require_line(again, "rendezvous answers")
    connect = stage.connect(ticket, "--rendezvous", relay.name, "--path", "relay")
    _require_echo(connect)


@GROUP.case("ticket-make")
def _ticket_make(stage: Stage) -> None:
    """A ticket with limits names the relays of its share."""
    relays = [Relay(stage, key=key) for key in ("one", "two")]
    _share(stage, relays)
    ticket = stage.run("ticket", "make", "--expires", "1h").output().strip()
    _require_echo(stage.connect(ticket))
    shown = stage.run("ticket", "show", ticket, "--json").output()
    for relay in relays:
        require(str(relay.port) in shown, f"no relay in {shown}")


@GROUP.case("netcheck-asks-a-relay")
def _netcheck(stage: Stage) -> None:
    relay = Relay(stage)
    for name in [relay.name, f"127.0.0.1:{relay.port}"]:
        facts = json.loads(
            stage.run("netcheck", "--rendezvous", name, "--no-port-mapping", "--json").output())
        servers = facts["servers"]
        require(len(servers) == 1 and servers[0]["mapped"] is not None, f"no answer: {servers}")
    process = stage.run("netcheck", "--rendezvous", "abc@127.0.0.1", status=2)
    require_text(process.errors(), "does not begin with a key")
