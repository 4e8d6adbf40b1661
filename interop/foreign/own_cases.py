"""What needs no foreign peer: how the endpoint behaves towards the runner, and on IPv6."""

import functools
import os
import shutil
import socket
import sys

from foreign.sizes import MIXED, SMALL
from harness import aioquic, endpoint
from harness.suite import Case, Failure, Skip, require
from harness.tools import Tools
from harness.workspace import Workspace

UNSUPPORTED = 127


def cases(tools: Tools) -> list[Case]:
    return [
        Case("exit 127", "runner", role, functools.partial(_unsupported, tools, role))
        for role in ["client", "server"]
    ] + [
        Case("environment", "runner", "both", functools.partial(_environment, tools)),
        Case("missing peers", "runner", "both", functools.partial(_missing_peers, tools)),
        Case("ipv6", "aioquic", "client", functools.partial(_ipv6, tools)),
        Case("server name", "aioquic", "client", functools.partial(_server_name, tools)),
        Case("versionnegotiation", "qtun", "both", functools.partial(_version_negotiation, tools)),
        Case("confined paths", "aioquic", "server", functools.partial(_confinement, tools)),
    ]


def _unsupported(tools: Tools, role: str, workspace: Workspace) -> None:
    """The runner probes with a name that nobody knows, and skips what answers 127."""
    for testcase in [f"unknown{os.urandom(4).hex()}", "zerortt"]:
        process = workspace.start(
            "qtun", [tools.endpoint], {
                "ROLE": role, "TESTCASE": testcase, "REQUESTS": "https://localhost/x",
            })
        status = process.wait(10)
        require(status == UNSUPPORTED, f"{testcase}: exit status {status}")


def _environment(tools: Tools, workspace: Workspace) -> None:
    """What is missing or cannot be used is named, and the exit status is 1."""
    garbage = workspace.path / "garbage"
    garbage.mkdir()
    for name in ["ca.pem", "cert.pem", "priv.key"]:
        (garbage / name).write_text("garbage\n")
    swapped = workspace.path / "swapped"
    swapped.mkdir()
    for name, other in [("cert.pem", "priv.key"), ("priv.key", "cert.pem")]:
        (swapped / name).write_bytes((tools.certificates.path / other).read_bytes())
    taken = endpoint.Server(tools, workspace, "handshake", "hq-interop").port
    client = {"ROLE": "client", "TESTCASE": "handshake", "REQUESTS": "https://127.0.0.1/x"}
    server = {
        "ROLE": "server", "TESTCASE": "handshake", "QTUN_PORT": "0", "QTUN_WWW": str(workspace.www),
        "QTUN_CERTS": str(tools.certificates.path),
    }
    for environment, sentence in [
        ({}, "TESTCASE must name a test case"),
        ({"TESTCASE": "handshake"}, "ROLE must be client or server"),
        (client | {"ROLE": "relay"}, "ROLE must be client or server"),
        (client | {"REQUESTS": ""}, "REQUESTS names no file"),
        (client | {"REQUESTS": "http://127.0.0.1/x"}, "which is not an https URL of a file"),
        (client | {"REQUESTS": "https://a/x https://b/x"}, "REQUESTS names more than one server"),
        (client | {"QTUN_CERTS": "/nonexistent"}, "no authority in /nonexistent/ca.pem"),
        (client | {"QTUN_CERTS": str(garbage)}, f"no certificate in {garbage}/ca.pem"),
        (client | {"QTUN_CONGESTION": "reno"}, "QTUN_CONGESTION must be cubic or bbr"),
        (client | {"REQUESTS": "https://a..b/x"}, "cannot find a..b"),
        (client | {"QTUN_IDENTITY": "/nonexistent"}, "cannot read /nonexistent"),
        (client | {"QTUN_IDENTITY": str(garbage / "priv.key")}, "holds no Ed25519 key in PKCS #8"),
        (server | {"QTUN_ADDRESS": "127.0.0.1", "QTUN_PORT": str(taken)},
         f"cannot listen on 127.0.0.1:{taken}"),
        (server | {"QTUN_CERTS": str(swapped)}, f"cannot use {swapped}/cert.pem"),
        (server | {"QTUN_CERTS": "/nonexistent"}, "cannot use /nonexistent/cert.pem"),
        (server | {"QTUN_CERTS": str(garbage)}, f"cannot use {garbage}/cert.pem"),
        (server | {"QTUN_WWW": "/nonexistent"}, "cannot open /nonexistent"),
        (server | {"QTUN_PORT": "99999"}, "QTUN_PORT must be a port number"),
        (server | {"QTUN_ADDRESS": "here"}, "QTUN_ADDRESS must be an IP address"),
    ]:
        process = workspace.start("qtun", [tools.endpoint], environment)
        status = process.wait(10)
        require(
            status == 1 and sentence in process.errors(),
            f"{environment}: exit status {status}, '{process.errors().strip()}'")


def _missing_peers(tools: Tools, workspace: Workspace) -> None:
    """A peer that is not installed is skipped with the way to install it, and is no failure."""
    bare = Tools(workspace.path)
    for wanted in [lambda: bare.python, lambda: bare.program("no-such-program")]:
        try:
            wanted()
        except Skip as reason:
            require("is not installed; scripts/setup interop does it" in str(reason), f"{reason}")
        else:
            raise Failure("a peer was found that is not there")
    script = workspace.path / "interop" / "run-matrix"
    script.parent.mkdir()
    shutil.copy(tools.interop / "run-matrix", script)
    matrix = workspace.start("run-matrix", [sys.executable, script])
    status, words = matrix.wait(10), matrix.output()
    require(
        status == 0 and "scripts/setup interop does it" in words and "1 skipped" in words,
        f"exit status {status}, '{words}'")


def _ipv6(tools: Tools, workspace: Workspace) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise Skip(f"no IPv6 here: {error.strerror}")
    names = workspace.make_files(MIXED)
    server = aioquic.Server(tools, workspace, host="::1")
    client = endpoint.Client(
        tools, workspace, "ipv6", "hq-interop", server.port, names, host="[::1]")
    require(client.status == 0, f"our client's exit status is {client.status}")
    differing = workspace.differing_downloads(names)
    require(not differing, f"files differ: {differing}")


def _server_name(tools: Tools, workspace: Workspace) -> None:
    """RFC 6066 §3: a name is sent along, an address is not."""
    names = workspace.make_files(SMALL)
    for host, sent in [("localhost", "localhost"), ("127.0.0.1", None)]:
        server = aioquic.Server(tools, workspace)
        client = endpoint.Client(
            tools, workspace, "handshake", "hq-interop", server.port, names, host=host)
        require(client.status == 0, f"our client's exit status is {client.status}")
        facts = server.connections(1)[0]
        require(facts["server_names"] == [sent], f"server name for {host}: {facts}")


def _version_negotiation(tools: Tools, workspace: Workspace) -> None:
    """Our client asks for a version that nobody has; no peer but ours need be there to refuse."""
    server = endpoint.Server(tools, workspace, "versionnegotiation", "hq-interop")
    client = endpoint.Client(
        tools, workspace, "versionnegotiation", "hq-interop", server.port, ["none"])
    require(client.status == 0, f"our client's exit status is {client.status}")
    server.require_alive()


def _confinement(tools: Tools, workspace: Workspace) -> None:
    """Nothing outside of the www directory is served, whatever the path."""
    (workspace.path / "secret").write_text("not for sale")
    (workspace.www / "link").symlink_to(workspace.path / "secret")
    (workspace.www / "folder").symlink_to(workspace.path)
    os.mkfifo(workspace.www / "pipe")
    for alpn in ["hq-interop", "h3"]:
        testcase = "http3" if alpn == "h3" else "transfer"
        server = endpoint.Server(tools, workspace, testcase, alpn)
        for path in ["../secret", "x/../../secret", "link", "folder/secret", "pipe", ".", ""]:
            client = aioquic.fetch(tools, workspace, server.port, alpn, [path])
            if client.status == 0 or "FetchError" not in client.errors():
                raise Failure(f"'{path}' was served over {alpn}")
        server.require_alive()
