"""Names with certificates: TLS that passes, HTTPS and HTTP/3 that end at the relay."""

import http.server
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from cli.group import Group
from cli.sockets import dial, receive_to_end
from cli.stage import Stage, end, require_line, require_text
from cli.websites import Relay, Site, curl, open_site, share_site
from harness.suite import require

GROUP = Group("certificates")


def _certificate(stage: Stage, name: str, *hosts: str) -> tuple:
    """A self-signed certificate for some hosts, and its key."""
    certificate = stage.workspace.path / f"{name}.pem"
    key = stage.workspace.path / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts), "-keyout", key, "-out",
         certificate], check=True, capture_output=True)
    return certificate, key


def _s_client(port: int, *options: str) -> str:
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options], input=b"",
        capture_output=True, timeout=20)
    return (run.stdout + run.stderr).decode(errors="replace")


@GROUP.case("name-tls")
def _tls(stage: Stage) -> None:
    """TLS passes unopened, by the server name; names that nobody shares get an alert."""
    relay = Relay(stage)
    certificate, key = _certificate(stage, "app", "app.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    kind = type("Site", (Site,), {"name": "secure", "seen": [], "go_on": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage.at_end(server.shutdown)
    share = share_site(stage, relay, server.server_port, "--public", "tls:app.test")
    address = share.output().split("\n")[1]
    require(address == f"https://app.test:{relay.tls}", f"'{address}' was printed")
    body = curl(relay.tls, "https://app.test/", "--cacert", str(certificate), "--http1.1")
    require(body == "secure", f"'{body}' came")
    said = _s_client(relay.tls, "-servername", "app.test", "-alpn", "h2")
    require_text(said, "CN = app", "ALPN protocol: h2")
    for options in [["-servername", "other.test"], ["-noservername"]]:
        require_text(_s_client(relay.tls, *options), "unrecognized name")
    # A ClientHello in pieces of a byte, each a packet.
    with dial(relay.tls) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = ssl.create_default_context(cafile=str(certificate))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client.wrap_bio(incoming, outgoing, server_hostname="app.test")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                visitor.sendall(bytes([byte]))
        require(visitor.recv(1) == b"\x16", "no ServerHello")
    with dial(relay.tls) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            require(receive_to_end(visitor) == b"", "what is no TLS was answered")
        except ConnectionResetError:
            pass


@GROUP.case("name-https", seconds=60)
def _https(stage: Stage) -> None:
    """HTTPS that ends at the relay, with a certificate that is renewed, broken, and renewed again."""
    old, new = [_certificate(stage, name, "a.test", "b.test") for name in ["old", "new"]]
    files = stage.workspace.path / "relay.pem", stage.workspace.path / "relay.key"

    def install(certificate: bytes, key: bytes) -> None:
        files[0].write_bytes(certificate)
        files[1].write_bytes(key)
        # Visitors have it looked at, once a second at most.
        time.sleep(1.1)

    def served_with() -> str:
        said = _s_client(relay.tls, "-servername", "a.test")
        found = re.search(r"subject=CN = (\w+)", said)
        require(found is not None, f"no certificate:\n{said}")
        return found.group(1)

    install(old[0].read_bytes(), old[1].read_bytes())
    relay = Relay(stage, "--certificate", files[0], "--certificate-key", files[1])
    port, site = open_site(stage, "a")
    share_site(stage, relay, port, "--public", "a.test")
    fetch = ["--cacert", str(files[0])]
    require(curl(relay.tls, "https://a.test/", *fetch) == "a", "not served by HTTPS")
    require(curl(relay.http, "http://a.test/") == "a", "not served by HTTP any more")
    body = stage.workspace.path / "body"
    body.write_bytes(b"x" * 3_000_000)
    count = curl(relay.tls, "https://a.test/up", *fetch, "--data-binary", f"@{body}")
    require(count == "3000000", f"{count} bytes arrived")
    page = curl(relay.tls, "https://b.test/", *fetch, "-i")
    require_text(page, "404 Not Found", "nobody shares b.test here")
    require(served_with() == "old", "another certificate")
    install(b"no certificate\n", new[1].read_bytes())
    require(served_with() == "old", "a broken certificate took the old one away")
    require_line(relay.process, "certificate cannot be used")
    install(new[0].read_bytes(), new[1].read_bytes())
    require(served_with() == "new", "the renewed certificate is not served")
    require_line(relay.process, "certificate read again")
    require(curl(relay.tls, "https://a.test/", *fetch) == "a", "not served with the new one")
    files[0].unlink()
    time.sleep(1.1)
    require(served_with() == "new", "a missing certificate took the old one away")


@GROUP.case("name-h3", seconds=60)
def _http3(stage: Stage) -> None:
    """HTTP/3 that ends at the relay, asked for by ngtcp2's client; without UDP, HTTPS alone."""
    program = stage.tools.program("gtlsclient")
    certificate, key = _certificate(stage, "relay", "a.test", "b.test")
    words = ["--certificate", certificate, "--certificate-key", key]
    relay = Relay(stage, *words)
    require_line(relay.process, f"serving names.*h3.*udp:127.0.0.1:{relay.tls}")
    port, site = open_site(stage, "a")
    share = share_site(stage, relay, port, "--public", "a.test")
    downloads = stage.workspace.downloads

    def ask(url: str, *options: object) -> str:
        done = subprocess.run(
            [program, "-q", "--exit-on-all-streams-close", f"--download={downloads}", *options,
             "--sni", "a.test", "127.0.0.1", str(relay.tls), url], capture_output=True, timeout=20)
        return (done.stdout + done.stderr).decode(errors="replace")

    ask("https://a.test/page")
    require((downloads / "page").read_text() == "a", "another page")
    require(site.seen == ["/page a.test"], f"the site saw {site.seen}")
    require_line(share, r"200  GET  /page")
    body = stage.workspace.path / "body"
    body.write_bytes(b"x" * 3_000_000)
    ask("https://a.test/up", "--http-method", "POST", "--data", body)
    require((downloads / "up").read_text() == "3000000", "the body did not arrive")
    ask("https://b.test/nobody")
    require_text((downloads / "nobody").read_text(), "nobody shares b.test here")
    ask("https://c.test/other")
    require_text((downloads / "other").read_text(), "this connection leads to another host")
    fetch = ["--cacert", str(certificate), "-i"]
    page = curl(relay.tls, "https://a.test/", *fetch)
    require_text(page, f'Alt-Svc: h3=":{relay.tls}"; ma=3600')
    require("Alt-Svc" not in curl(relay.http, "http://a.test/", "-i"), "told without TLS")
    require(end(relay.process, signal.SIGTERM) == 0, "the relay did not end well")
    relay = Relay(stage, *words, has_udp=False)
    require_line(relay.process, "HTTP/3 is not served")
    share_site(stage, relay, port, "--public", "a.test")
    page = curl(relay.tls, "https://a.test/", *fetch)
    require("200 OK" in page and "Alt-Svc" not in page, f"HTTPS alone gives {page}")
