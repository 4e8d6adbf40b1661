"""aioquic: another stack altogether, HTTP/0.9 and HTTP/3."""

import functools
from collections.abc import Callable

from foreign.sizes import BULK, LARGE, MANY, MIXED, SMALL
from harness import aioquic, endpoint
from harness.suite import Case, require
from harness.tools import Tools
from harness.workspace import Workspace

V1 = 0x1
V2 = 0x6B3343CF
# Of the form that no version ever has (RFC 9000 §15).
UNKNOWN_VERSION = 0x3A4A5A6A
CHACHA20 = "CHACHA20_POLY1305_SHA256"
SMALL_WINDOW = ["--max-data", "65536"]

Facts = list[dict]


def cases(tools: Tools) -> list[Case]:
    serve = functools.partial(_serve, tools)
    fetch = functools.partial(_fetch, tools)
    return [
        serve("handshake", SMALL, check=_no_retry),
        serve("transfer", BULK, options=SMALL_WINDOW),
        serve("multiplexing", MANY),
        serve("retry", MIXED, check=_retry_received),
        serve("resumption", MIXED, options=["--resume"], check=_resumed, connections=2),
        serve("keyupdate", LARGE, options=["--key-update"], check=_key_update_by("local"),
              testcase="transfer"),
        serve("v2", SMALL, options=["--version", str(V1), "--version", str(V2)],
              check=_every("version", V2)),
        serve("chacha20", LARGE, options=["--cipher", CHACHA20],
              check=_every("cipher", CHACHA20)),
        serve("versionnegotiation", SMALL,
              options=["--version", str(UNKNOWN_VERSION), "--version", str(V1)],
              check=_version_negotiated),
        serve("http3", MIXED | BULK, alpn="h3"),
        fetch("handshake", SMALL),
        fetch("transfer", BULK),
        fetch("multiplexing", MANY),
        fetch("retry", MIXED, options=["--retry"]),
        fetch("resumption", MIXED, check=_resumed, connections=2),
        fetch("keyupdate", LARGE, check=_key_update_by("remote")),
        fetch("v2", SMALL, check=_every("version", V2)),
        fetch("chacha20", LARGE, check=_every("cipher", CHACHA20)),
        fetch("multiconnect", MIXED, connections=len(MIXED)),
        fetch("ecn", MIXED),
        fetch("http3", MIXED | BULK, alpn="h3"),
    ]


# Our server, aioquic's client


def _serve(
    tools: Tools, name: str, sizes: dict[str, int], *, alpn: str = "hq-interop",
    options: list[str] | None = None, testcase: str | None = None,
    check: Callable[[Facts], None] | None = None, connections: int = 1,
) -> Case:
    def body(workspace: Workspace) -> None:
        names = workspace.make_files(sizes)
        server = endpoint.Server(tools, workspace, testcase or name, alpn)
        client = aioquic.fetch(tools, workspace, server.port, alpn, names, options)
        require(client.status == 0, f"the aioquic client's exit status is {client.status}")
        differing = workspace.differing_downloads(names)
        require(not differing, f"files differ: {differing}")
        facts = client.facts()
        require(len(facts) == connections, f"connections: {facts}")
        require(all(fact["alpn"] == alpn for fact in facts), f"wrong protocol: {facts}")
        if check:
            check(facts)
        server.require_alive()

    return Case(name, "aioquic", "server", body)


# Our client, aioquic's server


def _fetch(
    tools: Tools, name: str, sizes: dict[str, int], *, alpn: str = "hq-interop",
    options: list[str] | None = None, check: Callable[[Facts], None] | None = None,
    connections: int = 1,
) -> Case:
    def body(workspace: Workspace) -> None:
        names = workspace.make_files(sizes)
        server = aioquic.Server(tools, workspace, options)
        client = endpoint.Client(tools, workspace, name, alpn, server.port, names)
        require(client.status == 0, f"our client's exit status is {client.status}")
        differing = workspace.differing_downloads(names)
        require(not differing, f"files differ: {differing}")
        facts = server.connections(connections)
        require(len(facts) == connections, f"connections: {facts}")
        require(all(fact["alpn"] == alpn for fact in facts), f"wrong protocol: {facts}")
        if check:
            check(facts)

    return Case(name, "aioquic", "client", body)


# What the peer must have seen


def _no_retry(facts: Facts) -> None:
    require("retry" not in facts[0]["received"], f"Retry without need: {facts}")


def _retry_received(facts: Facts) -> None:
    require(facts[0]["received"].get("retry") == 1, f"no Retry: {facts}")


def _version_negotiated(facts: Facts) -> None:
    received = facts[0]["received"]
    require(received.get("version_negotiation") == 1, f"no Version Negotiation: {facts}")
    require(facts[0]["version"] == V1, f"not version 1: {facts}")


def _resumed(facts: Facts) -> None:
    require([fact["resumed"] for fact in facts] == [False, True], f"not resumed: {facts}")


def _key_update_by(who: str) -> Callable[[Facts], None]:
    def check(facts: Facts) -> None:
        require(who in facts[0]["key_updates"], f"no key update: {facts}")

    return check


def _every(fact: str, value) -> Callable[[Facts], None]:
    def check(facts: Facts) -> None:
        require(all(one[fact] == value for one in facts), f"{fact} is not {value}: {facts}")

    return check
