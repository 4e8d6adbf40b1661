"""Hostile peers: those that break one rule at a time, and the defects of the libraries below us.

The cases of `tables` have the rules as data, in `interop/rules`. The names that begin with F are those
of the guards in Sources/QuicTransport: without its guard, each such case ends with an aborted process
or with memory that grows. That was tried, by taking the guards out.
"""

import functools
import os

from foreign.sizes import LARGE, SMALL
from harness import aioquic, endpoint
from harness.suite import Case, require
from harness.tools import Tools
from harness.workspace import Workspace
from hostile import tables

# RFC 9001 §4.8 with RFC 8446 §6.2: unexpected_message
UNEXPECTED_MESSAGE = 0x10A
# RFC 9000 §20.1
CRYPTO_BUFFER_EXCEEDED = 0xD
# Each endless ClientHello brings 8 MiB; one handshake and the buffers of the first packets may cost
# a fraction of that.
GROWTH_MAX = 4 << 20
FAILED = 1


def cases(tools: Tools) -> list[Case]:
    def case(name: str, role: str, body) -> Case:
        return Case(name, "hostile", role, functools.partial(body, tools))

    return [
        case("F1 tls key update", "server", _key_update_to_server),
        case("F1 tls key update", "client", _key_update_to_client),
        case("F2 early retirement", "client", _early_retirement),
        case("F3 endless hello", "server", _endless_hello_to_server),
        case("F3 endless hello", "client", _endless_hello_to_client),
        case("F11 noise", "server", _noise_to_server),
        case("F11 noise", "client", _noise_to_client),
    ] + tables.cases(tools)


# Our server


def _attack(
    tools: Tools, workspace: Workspace, server: endpoint.Server, attack: str,
    options: list | None = None,
) -> dict:
    """Runs one attack; returns what the attacker saw."""
    script = tools.interop / "peers" / "hostile_client.py"
    attacker = workspace.start(
        "hostile-client", [
            tools.python, "-B", script, attack, "--port", server.port, *(options or []),
        ])
    require(attacker.wait() == 0, f"the attacker's exit status is {attacker.status}")
    return attacker.facts()[0]


def _require_service(tools: Tools, workspace: Workspace, server: endpoint.Server) -> None:
    """The next honest peer is served."""
    server.require_alive()
    names = workspace.make_files(SMALL)
    client = endpoint.Client(tools, workspace, "handshake", "hq-interop", server.port, names)
    require(client.status == 0, f"after it, an honest client's exit status is {client.status}")
    differing = workspace.differing_downloads(names)
    require(not differing, f"after it, files differ: {differing}")


def _key_update_to_server(tools: Tools, workspace: Workspace) -> None:
    server = endpoint.Server(tools, workspace, "handshake", "hq-interop")
    facts = _attack(tools, workspace, server, "tls-key-update")
    require(facts["handshake"], f"there was no handshake: {facts}")
    _require_close(facts, UNEXPECTED_MESSAGE)
    _require_service(tools, workspace, server)


def _endless_hello_to_server(tools: Tools, workspace: Workspace) -> None:
    server = endpoint.Server(tools, workspace, "handshake", "hq-interop")
    before = server.process.resident_bytes
    for _ in range(3):
        facts = _attack(tools, workspace, server, "endless-hello")
        _require_close(facts, CRYPTO_BUFFER_EXCEEDED)
    growth = server.process.resident_bytes - before
    require(growth < GROWTH_MAX, f"our server grew by {growth} bytes")
    _require_service(tools, workspace, server)


def _noise_to_server(tools: Tools, workspace: Workspace) -> None:
    server = endpoint.Server(tools, workspace, "handshake", "hq-interop")
    _attack(tools, workspace, server, "noise", ["--seed", _seed()])
    _require_service(tools, workspace, server)


# Our client


def _visit(
    tools: Tools, workspace: Workspace, attack: str, sizes: dict[str, int]
) -> tuple[endpoint.Client, aioquic.Server, list[str]]:
    """Our client fetches files from a hostile server."""
    names = workspace.make_files(sizes)
    options = ["--attack", attack, "--seed", _seed()]
    server = aioquic.Server(tools, workspace, options, script="hostile_server.py")
    client = endpoint.Client(tools, workspace, "handshake", "hq-interop", server.port, names)
    return client, server, names


def _key_update_to_client(tools: Tools, workspace: Workspace) -> None:
    client, server, _ = _visit(tools, workspace, "tls-key-update", LARGE)
    require(client.status == FAILED, f"our client's exit status is {client.status}")
    _require_close(server.connections(1)[0], UNEXPECTED_MESSAGE)


def _endless_hello_to_client(tools: Tools, workspace: Workspace) -> None:
    client, server, _ = _visit(tools, workspace, "endless-hello", SMALL)
    require(client.status == FAILED, f"our client's exit status is {client.status}")
    _require_close(server.connections(1)[0], CRYPTO_BUFFER_EXCEEDED)


def _early_retirement(tools: Tools, workspace: Workspace) -> None:
    client, server, names = _visit(tools, workspace, "early-retirement", LARGE)
    _require_download(client, workspace, names)
    facts = server.connections(1)[0]
    require(facts["retired_first_id"], f"our client did not retire the first ID: {facts}")


def _noise_to_client(tools: Tools, workspace: Workspace) -> None:
    client, _, names = _visit(tools, workspace, "noise", LARGE)
    _require_download(client, workspace, names)


def _require_download(
    client: endpoint.Client, workspace: Workspace, names: list[str]
) -> None:
    require(client.status == 0, f"our client's exit status is {client.status}")
    differing = workspace.differing_downloads(names)
    require(not differing, f"files differ: {differing}")


# Both


def _require_close(facts: dict, code: int) -> None:
    require(
        facts.get("close_is_transport") and facts["close_code"] == code,
        f"not closed with error {code:#x}: {facts}")


def _seed() -> str:
    """A fresh seed, which the log of a failure shows; QTUN_SEED repeats one."""
    return os.environ.get("QTUN_SEED") or str(int.from_bytes(os.urandom(4), "big"))
