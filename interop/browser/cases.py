"""A page and ten megabytes, from a share behind a relay and from our interop server."""

import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from browser import chromium
from browser.proof import Proof
from harness.suite import Case, require
from harness.tools import Tools
from harness.workspace import Workspace
from lab.bad_link import ADDRESS_B, BadLink

HOST = "page.test"
SIZE = 10_000_000
LINK = ["delay 5ms", "rate 100mbit", "queuelength 200"]
KEPT = ("*.pcap", "*.keys", "*.out", "*.err", "*.png", "proof.json")
PAGE = f"""<!doctype html>
<title>qtun</title>
<style>body {{ font: 16px sans-serif; margin: 2em }} pre {{ font-size: 14px }}</style>
<h1>A page over HTTP/3</h1>
<p>This page knows how it came.</p>
<pre id="facts"></pre>
<script>
(async () => {{
  const facts = document.getElementById("facts");
  const hop = entry => entry ? entry.nextHopProtocol : "?";
  const say = text => {{ facts.textContent += text + "\\n"; }};
  const bytes = await (await fetch("/ten-megabytes")).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
  say(`page: ${{hop(performance.getEntriesByType("navigation")[0])}}`);
  say(`file: ${{hop(performance.getEntriesByName(location.origin + "/ten-megabytes")[0])}}`);
  say(`bytes: ${{bytes.byteLength}}`);
  say(`sha256: ${{hex}}`);
}})();
</script>
"""


def cases(tools: Tools, kept: pathlib.Path) -> list[Case]:
    return [
        Case("page", "chromium", "relay", functools.partial(_relay, tools, kept / "relay")),
        Case("page", "chromium", "server", functools.partial(_server, tools, kept / "server")),
    ]


def _relay(tools: Tools, kept: pathlib.Path, workspace: Workspace) -> None:
    """`qtun share dir:` through a relay that has a certificate."""
    chromium.program()
    certificate, key = _certificate(workspace)
    file = _site(workspace)
    with BadLink(str(tools.link), 1, *LINK) as link:
        link.tell(f"capture {workspace.path}/client.pcap {workspace.path}/server.pcap")
        home = {"HOME": str(workspace.path)}
        relay = workspace.start("relay", link.b.command(
            str(tools.qtun), "relay", "--listen", f"{ADDRESS_B}:3478", "--open", "--tls",
            f"{ADDRESS_B}:443", "--http", f"{ADDRESS_B}:80", "--names", "*.test", "--certificate",
            str(certificate), "--certificate-key", str(key), "--state", str(workspace.path)), home)
        found = relay.wait_for(lambda: relay.output().split("\n")[0] if "\n" in relay.output() else "")
        require(bool(found), f"no relay: {relay.errors()}")
        share = workspace.start("share", link.b.command(
            str(tools.qtun), "share", f"dir:{workspace.www}", "--listen", f"{ADDRESS_B}:0",
            "--rendezvous", found, "--public", HOST), home)
        ready = share.wait_for(lambda: share.output().count("\n") > 1)
        require(bool(ready), f"no public address: {share.errors()}")
        _visit(workspace, link, certificate, file, kept)
        # The share sees the requests as if they had come by HTTP/1.1.
        require("/ten-megabytes" in share.errors(), "the share's requests do not have the file")


def _server(tools: Tools, kept: pathlib.Path, workspace: Workspace) -> None:
    """The interop server."""
    chromium.program()
    folder = workspace.path / "certificates"
    folder.mkdir()
    certificate, key = _certificate(workspace)
    shutil.copy(certificate, folder / "cert.pem")
    shutil.copy(key, folder / "priv.key")
    file = _site(workspace)
    with BadLink(str(tools.link), 1, *LINK) as link:
        link.tell(f"capture {workspace.path}/client.pcap {workspace.path}/server.pcap")
        server = workspace.start("server", link.b.command(str(tools.endpoint)), {
            "ROLE": "server", "TESTCASE": "http3", "QTUN_ALPN": "h3", "QTUN_ADDRESS": ADDRESS_B,
            "QTUN_PORT": "443", "QTUN_WWW": str(workspace.www), "QTUN_CERTS": str(folder),
        })
        require(
            bool(server.wait_for(lambda: "listening on" in server.errors())), "no server")
        _visit(workspace, link, certificate, file, kept)


def _visit(
    workspace: Workspace, link: BadLink, certificate: pathlib.Path, file: bytes,
    kept: pathlib.Path,
) -> None:
    try:
        page = chromium.visit(
            workspace, link.a, HOST, ADDRESS_B, certificate, f"https://{HOST}/index.html")
        facts = dict(re.findall(r"^(page|file|bytes|sha256): (\S+)$", _text(page), re.MULTILINE))
        proof = Proof(workspace.path, ADDRESS_B)
        bodies = proof.bodies()
        said = facts | {
            "browser": chromium.version(), "alpn": sorted(proof.protocols),
            "packets": proof.packets, "bodies": sorted(len(body) for body in bodies),
            "page in packets": PAGE.encode() in bodies, "file in packets": file in bodies,
        }
        (workspace.path / "proof.json").write_text(json.dumps(said, indent=2) + "\n")
    finally:
        _keep(workspace, kept)
    require(facts.get("sha256") == hashlib.sha256(file).hexdigest(), f"the page says {facts}")
    require(facts["file"] == "h3", f"the file came by {facts['file']}")
    require(proof.protocols == {"h3"}, f"the protocols are {proof.protocols}")
    require(file in bodies, "no answer in the packets is the file")
    require(facts["page"] == "h3", f"the page came by {facts['page']}")
    require(PAGE.encode() in bodies, "no answer in the packets is the page")
    picture = workspace.path / "screenshot.png"
    require(picture.exists() and picture.stat().st_size > 5_000, "there is no picture of the page")


def _text(page: str) -> str:
    found = re.search(r'<pre id="facts">(.*?)</pre>', page, re.DOTALL)
    return found.group(1) if found else ""


def _site(workspace: Workspace) -> bytes:
    (workspace.www / "index.html").write_text(PAGE)
    file = os.urandom(SIZE)
    (workspace.www / "ten-megabytes").write_bytes(file)
    return file


def _certificate(workspace: Workspace) -> tuple[pathlib.Path, pathlib.Path]:
    certificate, key = workspace.path / "page.pem", workspace.path / "page.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def _keep(workspace: Workspace, kept: pathlib.Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for pattern in KEPT:
        for path in workspace.path.glob(pattern):
            shutil.copy(path, kept / path.name)
