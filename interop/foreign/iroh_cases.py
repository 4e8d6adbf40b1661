"""iroh: raw public keys (RFC 7250) as another TLS and another QUIC have them."""

import base64
import functools
import os
import pathlib
import subprocess

from foreign.sizes import MIXED, SMALL
from harness import endpoint
from harness.suite import Case, Failure, Skip, require
from harness.tools import Tools
from harness.workspace import Workspace

# RFC 8410 §7: what comes before the seed of an Ed25519 key in PKCS #8.
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
SECONDS = 30


def cases(tools: Tools) -> list[Case]:
    return [
        Case("raw public keys", "iroh", "server", functools.partial(_serve, tools)),
        Case("raw public keys", "iroh", "client", functools.partial(_fetch, tools)),
    ]


def _python(tools: Tools) -> pathlib.Path:
    folder = tools.python.parent.parent
    if not any(folder.glob("lib/python3*/site-packages/iroh/__init__.py")):
        raise Skip("iroh is not installed; scripts/setup interop does it")
    return tools.python


def _peer(tools: Tools, workspace: Workspace, role: str, folder: pathlib.Path, *options):
    return workspace.start(f"iroh-{role}", [
        _python(tools), "-B", tools.interop / "peers" / "iroh_peer.py", role,
        "--seed", os.urandom(32).hex(), "--folder", folder, *options,
    ])


def _identity(workspace: Workspace) -> pathlib.Path:
    """A fresh key for our endpoint."""
    path = workspace.path / "identity.pem"
    text = base64.b64encode(PKCS8 + os.urandom(32)).decode()
    path.write_text(f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    return path


def _key(path: pathlib.Path) -> str:
    """Its public half, in hexadecimal."""
    info = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
        capture_output=True).stdout
    # RFC 8410 §4: the key ends the SubjectPublicKeyInfo.
    return info[-32:].hex()


def _serve(tools: Tools, workspace: Workspace) -> None:
    """iroh dials us by our key, and nobody by another key."""
    names = workspace.make_files(MIXED)
    identity = _identity(workspace)
    server = endpoint.Server(
        tools, workspace, "transfer", "hq-interop", {"QTUN_IDENTITY": str(identity)})
    address = ["--address", f"127.0.0.1:{server.port}"]
    client = _peer(
        tools, workspace, "client", workspace.downloads, "--peer", _key(identity), *address, *names)
    require(client.wait(SECONDS) == 0, f"iroh could not fetch: {client.errors()[-300:]}")
    differing = workspace.differing_downloads(names)
    require(not differing, f"files differ: {differing}")
    other = workspace.path / "other"
    other.mkdir()
    wrong = _key(_identity(workspace))
    client = _peer(
        tools, workspace, "client", other, "--peer", wrong, *address, *names)
    require(client.wait(SECONDS) not in (0, None), "iroh took us for somebody else")
    server.require_alive()


def _fetch(tools: Tools, workspace: Workspace) -> None:
    """We dial iroh by its key, and nobody by another key."""
    names = workspace.make_files(MIXED)
    server = _peer(tools, workspace, "server", workspace.www)
    if not server.wait_for(server.facts):
        raise Failure(f"iroh does not listen: {server.errors()[-300:]}")
    facts = server.facts()[0]
    keys = {"QTUN_IDENTITY": str(_identity(workspace)), "QTUN_PEER": facts["key"]}
    client = endpoint.Client(
        tools, workspace, "transfer", "hq-interop", facts["port"], names, host="127.0.0.1",
        environment=keys)
    require(client.status == 0, f"exit status {client.status}: {client.words}")
    differing = workspace.differing_downloads(names)
    require(not differing, f"files differ: {differing}")
    keys["QTUN_PEER"] = _key(_identity(workspace))
    client = endpoint.Client(
        tools, workspace, "transfer", "hq-interop", facts["port"], list(SMALL),
        host="127.0.0.1", environment=keys)
    require(
        client.status == 1, f"we took iroh for somebody else: exit status {client.status}")
