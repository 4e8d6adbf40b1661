"""Who may have public addresses of a relay: lists, tokens, names that are given out no more."""

import contextlib
import pathlib
import signal
import time

from cli.group import Group
from cli.public_cases import PORTS, Relay, address_of, echoes, free_range, port_of, start_share
from cli.sockets import dial, echo, ending, free_tcp_port, receive_exactly
from cli.stage import Stage, require_line, require_text
from harness.suite import require

GROUP = Group("public-rights")


@GROUP.case("public-allow")
def _allow(stage: Stage) -> None:
    """Who is not in the list gets nothing, and who is taken out of it loses what it has."""
    identity = stage.run("keygen", "--out", stage.workspace.path / "friend").output().strip()
    allowed = stage.workspace.path / "allowed"
    allowed.write_text(f"{identity}\n")
    relay = Relay(stage, "--allow", allowed)
    service = stage.service(echo)
    stranger = start_share(stage, relay, service.port, "--public", key="stranger")
    require(stranger.wait(10) == 4, f"it ended with {stranger.status}")
    require_text(stranger.errors(), "does not let us have public addresses", "not on its list")
    friend = start_share(stage, relay, service.port, "--public", key="friend")
    port = port_of(address_of(friend))
    visitor = dial(port)
    visitor.sendall(b"x")
    receive_exactly(visitor, 1)
    allowed.write_text("# nobody\n")
    require(ending(visitor) == "RST", "a visitor stays although the right is gone")
    with contextlib.suppress(ConnectionRefusedError):
        dial(port).close()
        require(False, "somebody listens although the right is gone")


def _token(stage: Stage, label: str, *options: object) -> pathlib.Path:
    """A file with a new token of the relay."""
    path = stage.workspace.path / f"token-{label}"
    path.write_text(stage.run("token", "add", "--label", label, *options).output())
    path.chmod(0o600)
    return path


@GROUP.case("public-token", seconds=60)
def _tokens(stage: Stage) -> None:
    """A token says which ports and names its holder may have; taken back, they are gone in 5 s."""
    first, door = free_range(), free_tcp_port()
    port = _token(stage, "port", "--no-relay", "--allow-ports", first + 2)
    name = _token(stage, "name", "--allow-name", "*.a.test")
    plain = _token(stage, "plain")
    relay = Relay(
        stage, "--http", f"127.0.0.1:{door}", "--names", "*.test", first=first)
    service = stage.service(echo)
    refused = [
        (port, first + 1, "does not give out this port"), (plain, first + 2, "does not let us"),
        (name, first + 2, "does not let us"), (name, "b.test", "does not give out this name"),
        (port, "b.a.test", "does not let us")]
    for number, (token, wish, reason) in enumerate(refused):
        share = start_share(
            stage, relay, service.port, "--token-file", token, "--public", wish, key=f"s{number}")
        require(share.wait(10) == 4, f"{wish} ended with {share.status}")
        require_text(share.errors(), reason)
    site = start_share(
        stage, relay, service.port, "--token-file", name, "--public", "b.a.test", key="site")
    require(address_of(site) == f"http://b.a.test:{door}", "the name is another one")
    # The one port that the token is for, without being named.
    share = start_share(stage, relay, service.port, "--token-file", port, "--public", key="port")
    require(port_of(address_of(share)) == first + 2, "the port is another one")
    visitor = dial(first + 2)
    visitor.sendall(b"x")
    receive_exactly(visitor, 1)
    begin = time.monotonic()
    stage.run("token", "revoke", "port")
    visitor.settimeout(5)
    require(ending(visitor) == "RST", "a visitor stays although the token is revoked")
    print(f"  revoked to gone: {time.monotonic() - begin:.2f} s")
    with contextlib.suppress(ConnectionRefusedError):
        dial(first + 2).close()
        require(False, "somebody listens although the token is revoked")
    # What it held is free for others at once.
    fresh = _token(stage, "fresh", "--allow-ports", f"{first}-{first + PORTS - 1}")
    heir = start_share(
        stage, relay, service.port, "--token-file", fresh, "--public", first + 2, key="heir")
    require(port_of(address_of(heir)) == first + 2 and echoes(first + 2), "the heir is not served")


@GROUP.case("public-reload", seconds=60)
def _reload(stage: Stage) -> None:
    """SIGHUP changes the names that are given out, and refuses what cannot change."""
    door = free_tcp_port()
    config = stage.workspace.path / "relay.conf"
    config.write_text("open\nnames *.a.test\n")
    relay = Relay(stage, "--http", f"127.0.0.1:{door}", "--config", config)
    service = stage.service(echo)
    site = start_share(stage, relay, service.port, "--public", "b.a.test", key="site")
    plain = start_share(stage, relay, service.port, "--public", key="plain")
    require(address_of(site) == f"http://b.a.test:{door}", "the name is another one")
    port = port_of(address_of(plain))
    config.write_text(f"open\nnames *.b.test\ncertificate /nowhere\ntls {free_tcp_port()}\n")
    relay.process.send(signal.SIGHUP)
    require_line(relay.process, "not reloaded, nothing is changed .*certificate and state cannot")
    config.write_text("open\nnames *.b.test\n")
    relay.process.send(signal.SIGHUP)
    require_line(relay.process, r"changed .*names: \*\.a\.test -> \*\.b\.test")
    require_line(site, "the relay does not listen for us .*does not give out this name")
    require(echoes(port), "a port ended with a name")
    other = start_share(stage, relay, service.port, "--public", "c.b.test", key="other")
    require(address_of(other) == f"http://c.b.test:{door}", "the new names are not given out")
