"""Tables of offences, each played by one attacker against one process of ours.

After every row an honest peer must be served within a second, by the same process.
"""

import functools

from harness import endpoint
from harness.suite import Case, require
from harness.tools import Tools
from harness.workspace import Workspace, free_port
from rules import http3, stranger, transport

NEXT_MILLISECONDS_MAX = 1000
SECONDS_MAX = 120
FILE = {"small": 1000}


def cases(tools: Tools) -> list[Case]:
    found = []
    for alpn, tables in (
        ("hq-interop", transport.TABLES | stranger.TABLES), ("h3", http3.TABLES),
    ):
        for name, rows in tables.items():
            for victim, body in (("server", _play_against_server), ("client", _play_against_client)):
                count = sum(row.victim in (victim, "both") for row in rows)
                found.append(Case(
                    f"{name} x{count}", "hostile", victim,
                    functools.partial(body, tools, name, alpn, count)))
    return found


def _play_against_server(
    tools: Tools, table: str, alpn: str, count: int, workspace: Workspace
) -> None:
    [name] = workspace.make_files(FILE)
    server = endpoint.Server(tools, workspace, _testcase(alpn), alpn)
    attacker = workspace.start("lawless-client", [
        tools.python, "-B", tools.interop / "peers" / "lawless_client.py", table,
        "--port", server.port, "--alpn", alpn, "--file", name,
    ])
    require(attacker.wait(SECONDS_MAX) == 0, f"the attacker's exit status is {attacker.status}")
    server.require_alive()
    judge(attacker.facts(), count)


def _play_against_client(
    tools: Tools, table: str, alpn: str, count: int, workspace: Workspace
) -> None:
    port = free_port()
    attacker = workspace.start("lawless-server", [
        tools.python, "-B", tools.interop / "peers" / "lawless_server.py", table,
        "--port", port, "--alpn", alpn, "--certificate", tools.certificates.chain,
        "--key", tools.certificates.key,
    ])
    require(bool(attacker.wait_for(lambda: "listening" in attacker.output())), "nobody listens")
    # A connection for each row, and an honest one behind it.
    names = [f"{kind}-{number}" for number in range(count) for kind in ("attack", "honest")]
    client = endpoint.Client(
        tools, workspace, "hostile", alpn, port, names, seconds=SECONDS_MAX)
    require(client.status == 0, f"our client's exit status is {client.status}")
    require(attacker.wait() == 0, f"the attacker's exit status is {attacker.status}")
    judge(attacker.facts()[1:], count)


def _testcase(alpn: str) -> str:
    return "http3" if alpn == "h3" else "handshake"


def judge(facts: list[dict], count: int) -> None:
    """Requires that each row came out as it must, and that the next honest peer was served."""
    wrong = [
        f"{fact['row']} ({fact['rule']}): {fact['outcome']}, not {' or '.join(fact['expected'])}"
        for fact in facts if fact["outcome"] not in fact["expected"]]
    wrong += [
        f"{fact['row']}: the next honest peer was served after {fact['next_ms']} ms"
        for fact in facts
        if fact["next_ms"] is None or fact["next_ms"] > NEXT_MILLISECONDS_MAX]
    require(not wrong, "\n".join(wrong))
    require(len(facts) == count, f"{len(facts)} rows of {count} were played")
