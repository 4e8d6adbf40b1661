"""What targets see: the PROXY protocol in front of a connection; and folders that are shared."""

import hashlib
import os
import socket
import struct
import subprocess

from cli.group import Group
from cli.sockets import dial, pattern, receive_exactly, receive_to_end
from cli.stage import Stage, require_text
from harness.suite import require

GROUP = Group("targets")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def _heard(stage: Stage, version: str, *options: object) -> tuple[bytes, object]:
    """What a target hears of a connection that sends `hello`, and the two sides."""
    service = stage.service(receive_to_end)
    share = stage.share(service.port, "--proxy-protocol", version)
    connect = stage.connect(share.ticket, *options)
    with dial(connect.port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return service.outcome(), share


@GROUP.case("proxy-protocol-v1")
def _text(stage: Stage) -> None:
    for carrier in ["udp", "tcp"]:
        heard, share = _heard(stage, "v1", "--carrier", carrier)
        line, rest = heard.split(b"\r\n", 1)
        words = line.decode().split(" ")
        require(rest == b"hello", f"after the line: {rest!r}")
        require(
            words[:4] == ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1"], f"{carrier}: {line!r}")
        require(int(words[5]) == share.invitation.addresses[0][1], f"{carrier}: {line!r}")
        require(1024 <= int(words[4]) <= 65535, f"{carrier}: {line!r}")


@GROUP.case("proxy-protocol-v2")
def _binary(stage: Stage) -> None:
    heard, share = _heard(stage, "v2")
    require(heard.startswith(SIGNATURE), f"no signature: {heard[:16]!r}")
    version, family, length = struct.unpack(">BBH", heard[12:16])
    require((version, family, length) == (0x21, 0x11, 47), f"head: {heard[12:16]!r}")
    source, target = socket.inet_ntoa(heard[16:20]), socket.inet_ntoa(heard[20:24])
    require((source, target) == ("127.0.0.1", "127.0.0.1"), f"{source} {target}")
    port = struct.unpack(">H", heard[26:28])[0]
    require(port == share.invitation.addresses[0][1], f"port {port}")
    # Both sides use the key of the same home.
    require(heard[28:31] == b"\xe0\0\x20", f"TLV: {heard[28:31]!r}")
    require(heard[31:63] == share.invitation.identity, "another identity")
    require(heard[63:] == b"hello", f"after the header: {heard[63:]!r}")


def _curl(stage: Stage, *words: str) -> tuple[bytes, str]:
    program = stage.tools.program("curl")
    done = subprocess.run(
        [program, "-q", "-sS", "-m", "15", "--path-as-is", "-w", "%{stderr}%{http_code}\n", *words],
        capture_output=True, timeout=20)
    return done.stdout, done.stderr.decode().strip()


@GROUP.case("folder", seconds=60)
def _folder(stage: Stage) -> None:
    site = stage.temporary / "site"
    (site / "sub").mkdir(parents=True)
    body = pattern(41, 20_000_000)
    (site / "big.bin").write_bytes(body)
    (site / "sub" / "index.html").write_text("<p>index")
    (site / "a b&ä.txt").write_text("named")
    (site / ".env").write_text("SECRET")
    (stage.temporary / "outside").write_text("SECRET")
    os.symlink("../outside", site / "out")
    os.symlink("/etc", site / "etc")
    os.mkfifo(site / "fifo")
    share = stage.share(f"dir:{site}")
    connect = stage.connect(share.ticket)
    url = f"http://{connect.address}"
    # Twice on one connection, and a part.
    whole, codes = _curl(stage, f"{url}/big.bin", f"{url}/big.bin")
    require(codes.split() == ["200", "200"], codes)
    require(hashlib.sha256(whole).digest() == hashlib.sha256(body * 2).digest(), "other bytes")
    part, code = _curl(stage, "-r", "1000-999999", f"{url}/big.bin")
    require(code == "206" and part == body[1000:1_000_000], f"range: {code}")
    require(_curl(stage, "-L", f"{url}/sub") == (b"<p>index", "200"), "no index")
    require(_curl(stage, f"{url}/a%20b%26%C3%A4.txt") == (b"named", "200"), "no escapes")
    listing, _ = _curl(stage, f"{url}/")
    require_text(listing.decode(), "./big.bin", "./sub/", "./a%20b%26%C3%A4.txt")
    require(b".env" not in listing, "hidden names are listed")
    for path in [
        "/../outside", "/%2e%2e/outside", "/..%2foutside", "/sub/../../outside", "/out",
        "/etc/passwd", "/.env", "/%2eenv", "//etc/passwd", "/fifo", "/big.bin/", "/a%00.txt",
        "/sub/%2e%2e/%2e%2e/outside", "/....//outside", "/%c0%ae%c0%ae/outside", "/nothing",
    ]:
        answer, code = _curl(stage, url + path)
        require(code == "404" and b"SECRET" not in answer, f"{path}: {code} {answer!r}")


@GROUP.case("folder-bad-requests")
def _bad_requests(stage: Stage) -> None:
    site = stage.temporary / "site"
    site.mkdir()
    (site / "a").write_text("x")
    connect = stage.connect(stage.share(f"dir:{site}").ticket)
    for request, status in [
        (b"\x16\3\1\2\0\1\0\1\xfc\3\3", b"400"), (b"GET /a\r\n\r\n", b"400"),
        (b"GET /a HTTP/1.1\r\nA: " + b"a" * 9000, b"431"), (b"GET /a HTTP/1.1\r\n\r\n", b"400"),
        (b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb", b"405"),
    ]:
        with dial(connect.port) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            answer = receive_to_end(client)
        require(answer.startswith(b"HTTP/1.1 " + status), f"{request[:30]!r}: {answer!r}")
    require((site / "a").read_text() == "x", "a file was changed")
    with dial(connect.port) as client:
        client.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        require(receive_exactly(client, 15) == b"HTTP/1.1 200 OK", "the server is gone")


@GROUP.case("folder-missing")
def _missing(stage: Stage) -> None:
    failed = stage.run("share", f"dir:{stage.temporary}/nothing", status=3)
    require_text(failed.errors(), "cannot share the folder", "No such file", "fix: ")
