"""A share and a link that only a relay brings together: `qtun relay`, --rendezvous, --no-addresses."""

import base64
import json
import re
import signal
import socket
import struct

from cli.group import Group
from cli.sockets import dial, echo, receive_exactly
from cli.stage import Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("meeting")
# What a name of a relay on loopback looks like: key, address, port.
NAME = r"([a-z2-7]{52})@127\.0\.0\.1:(\d+)"


class Relay:
    """A running `qtun relay` that printed its name."""

    def __init__(self, stage: Stage, port: int = 0, key: str = "relay") -> None:
        self.process = stage.start(
            "relay", "--open", "--listen", f"127.0.0.1:{port}", "--identity",
            stage.home / ".config" / "qtun" / key)
        self.name = first_line(self.process)
        found = re.fullmatch(NAME, self.name)
        require(found is not None, f"'{self.name}' is no name of a relay")
        self.port = int(found.group(2))


def _share(stage: Stage, target: int, relay: Relay, *options: str) -> Process:
    return stage.start(
        "share", target, "--listen", "127.0.0.1:0", "--rendezvous", relay.name, *options)


def _require_echo(address: str) -> None:
    with dial(int(address.rsplit(":", 1)[1])) as client:
        client.sendall(b"through the hole")
        require(receive_exactly(client, 16) == b"through the hole", "something else came back")


def _addresses(ticket: str) -> tuple[int, int]:
    """The flags of a ticket and how many addresses it has."""
    body = ticket.removeprefix("qtun1").upper()
    raw = base64.b32decode(body + "=" * (-len(body) % 8))
    return raw[0], raw[51]


@GROUP.case("without-addresses")
def _without_addresses(stage: Stage) -> None:
    """Nothing but the relay leads from the ticket to the share."""
    relay = Relay(stage)
    service = stage.service(echo)
    share = _share(stage, service.port, relay, "--no-addresses")
    ticket = first_line(share)
    require(_addresses(ticket) == (2, 0), "the ticket has addresses, or no rendezvous")
    connect = stage.connect(ticket)
    _require_echo(connect.address)
    require_line(connect.process, r"direct path .*on this machine")
    # Another one at the same time, and then without the relay: the path needs it no more.
    other = stage.connect(ticket)
    _require_echo(other.address)
    require(end(relay.process, signal.SIGTERM) == 0, "the relay did not end well")
    _require_echo(connect.address)
    _require_echo(other.address)


@GROUP.case("relay-restarts")
def _restart(stage: Stage) -> None:
    """The relay has its key in a file, so the share finds it again and the ticket goes on working."""
    relay = Relay(stage)
    service = stage.service(echo)
    share = _share(stage, service.port, relay, "--no-addresses")
    ticket = first_line(share)
    require_line(share, "rendezvous answers")
    end(relay.process, signal.SIGTERM)
    require_line(share, "rendezvous does not answer")
    again = Relay(stage, port=relay.port)
    require(again.name == relay.name, "the relay has another name")
    connect = stage.connect(ticket)
    _require_echo(connect.address)


@GROUP.case("relay-answers-stun")
def _stun(stage: Stage) -> None:
    """At both of its ports: RFC 8489 §14.2, XOR-MAPPED-ADDRESS."""
    relay = stage.start("relay", "--open", "--listen", "127.0.0.1:0", "--json")
    facts = json.loads(first_line(relay))
    ports = [int(port) for port in facts["stun_ports"].split()]
    require(len(set(ports)) == 2, f"ports {ports}")
    cookie, transaction = 0x2112A442, bytes(range(12))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        for port in ports:
            client.sendto(struct.pack("!HHI", 1, 0, cookie) + transaction, ("127.0.0.1", port))
            answer, source = client.recvfrom(2000)
            require(source[1] == port, f"{source} answered instead of {port}")
            require(answer[:2] == b"\x01\x01" and answer[8:20] == transaction, "no answer to this question")
            family = struct.pack("!HHBBH", 0x20, 8, 0, 1, client.getsockname()[1] ^ cookie >> 16)
            require(family in answer, "the address is not ours")


@GROUP.case("wrong-names")
def _wrong_names(stage: Stage) -> None:
    service = stage.service(echo)
    for words, part in [
        (["--rendezvous", "192.0.2.1:3478"], "does not say which key"),
        (["--rendezvous", "abc@192.0.2.1:3478"], "does not begin with a key"),
        (["--no-addresses"], "add --rendezvous"),
    ]:
        process = stage.run("share", service.port, *words, status=2)
        require_text(process.errors(), part)


@GROUP.case("impostor")
def _impostor(stage: Stage) -> None:
    """Somebody else at the relay's address is not talked to."""
    relay = Relay(stage)
    service = stage.service(echo)
    key = "a" * 51 + "a"
    share = stage.start(
        "share", service.port, "--listen", "127.0.0.1:0", "--rendezvous", f"{key}@127.0.0.1:{relay.port}")
    first_line(share)
    require_line(share, "rendezvous does not answer")
    require("rendezvous answers" not in share.errors(), "it talks to an impostor")
