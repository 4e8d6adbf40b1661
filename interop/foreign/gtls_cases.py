"""gtlsclient and gtlsserver: ngtcp2 as its authors use it, HTTP/3 only."""

import functools
import re
from collections.abc import Callable

from foreign.sizes import BULK, HUGE, LARGE, MANY, MIXED, SMALL
from harness import endpoint, gtls
from harness.suite import Case, require
from harness.tools import Tools
from harness.workspace import Workspace

V2 = "0x6b3343cf"
CHACHA20 = "CHACHA20-POLY1305"
CHACHA20_ONLY = f"--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{CHACHA20}"
RETRY_SEEN = r"pkt (rx|tx) .*type=Retry"
# Packets in the second key phase.
PATH_CHALLENGE_SEEN = r"frm rx .* PATH_CHALLENGE"
KEY_PHASE_SEEN = r"pkt rx .*type=1RTT k=1"


def cases(tools: Tools) -> list[Case]:
    serve = functools.partial(_serve, tools)
    fetch = functools.partial(_fetch, tools)
    return [
        serve("handshake", SMALL, never=RETRY_SEEN),
        serve("transfer", BULK),
        serve("multiplexing", MANY),
        serve("retry", MIXED, seen=RETRY_SEEN),
        _serve_resumption(tools),
        serve("keyupdate", LARGE, options=["--key-update=1ms", "--delay-stream=50ms"],
              seen=KEY_PHASE_SEEN, testcase="transfer"),
        serve("v2", SMALL, options=["--available-versions=v2,v1"],
              check=lambda shake: shake.version == V2),
        serve("chacha20", LARGE, options=[CHACHA20_ONLY],
              check=lambda shake: shake.cipher == CHACHA20),
        serve("migration", HUGE, options=["--change-local-addr=20ms"], seen=PATH_CHALLENGE_SEEN,
              testcase="transfer"),
        fetch("handshake", SMALL, never=RETRY_SEEN),
        fetch("transfer", BULK),
        fetch("multiplexing", MANY),
        fetch("retry", MIXED, options=["--validate-addr"], seen="Sending Retry packet"),
        fetch("resumption", MIXED),
        fetch("keyupdate", LARGE, seen=KEY_PHASE_SEEN),
        fetch("v2", SMALL, options=["--preferred-versions=v2"],
              seen=f"negotiated version is {V2}"),
        fetch("chacha20", LARGE, seen=f"cipher suite is {CHACHA20}"),
        fetch("multiconnect", MIXED),
        fetch("ecn", MIXED, seen="path is ECN capable"),
    ]


# Our server, gtlsclient


def _serve(
    tools: Tools, name: str, sizes: dict[str, int], *, options: list[str] | None = None,
    testcase: str | None = None, seen: str | None = None, never: str | None = None,
    check: Callable[[endpoint.Handshake], bool] | None = None,
) -> Case:
    def body(workspace: Workspace) -> None:
        names = workspace.make_files(sizes)
        server = endpoint.Server(tools, workspace, testcase or name, "h3")
        client = gtls.fetch(tools, workspace, server.port, names, options)
        require(client.status == 0, f"gtlsclient's exit status is {client.status}")
        _require_outcome(workspace, names, client.output() + client.errors(), seen, never)
        shakes = server.handshakes()
        require(len(shakes) == 1, f"handshakes: {shakes}")
        require(check is None or check(shakes[0]), f"handshake: {shakes}")
        server.require_alive()

    return Case(name, "gtls", "server", body)


def _serve_resumption(tools: Tools) -> Case:
    def body(workspace: Workspace) -> None:
        names = workspace.make_files(MIXED)
        server = endpoint.Server(tools, workspace, "resumption", "h3")
        options = [
            f"--session-file={workspace.path / 'session'}", "--wait-for-ticket",
            "--disable-early-data",
        ]
        for visit in [names[:1], names[1:]]:
            client = gtls.fetch(tools, workspace, server.port, visit, options)
            require(client.status == 0, f"gtlsclient's exit status is {client.status}")
        _require_outcome(workspace, names, "", None, None)
        shakes = server.handshakes()
        require([shake.is_resumed for shake in shakes] == [False, True], f"handshakes: {shakes}")
        server.require_alive()

    return Case("resumption", "gtls", "server", body)


# Our client, gtlsserver


def _fetch(
    tools: Tools, name: str, sizes: dict[str, int], *, options: list[str] | None = None,
    seen: str | None = None, never: str | None = None,
) -> Case:
    def body(workspace: Workspace) -> None:
        names = workspace.make_files(sizes)
        server = gtls.Server(tools, workspace, options)
        client = endpoint.Client(tools, workspace, name, "h3", server.port, names)
        require(client.status == 0, f"our client's exit status is {client.status}")
        _require_outcome(workspace, names, server.log, seen, never)

    return Case(name, "gtls", "client", body)


def _require_outcome(
    workspace: Workspace, names: list[str], log: str, seen: str | None, never: str | None
) -> None:
    differing = workspace.differing_downloads(names)
    require(not differing, f"files differ: {differing}")
    require(seen is None or re.search(seen, log) is not None, f"the peer's log lacks '{seen}'")
    require(never is None or re.search(never, log) is None, f"the peer's log has '{never}'")
