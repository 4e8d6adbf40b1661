"""How each implementation is started for a case, and which cases it cannot play.

A client may need several runs, one after the other: that many command lines.
"""

import dataclasses
import pathlib
import subprocess

from harness.tools import Tools
from lab.bad_link import ADDRESS_B, ADDRESS_B6
from matrix.cases import Case

PORT = 443
# As ngtcp2's own endpoint for the public runner starts them.
GTLS = ["--no-quic-dump", "--no-http-dump", "-q", "--cc=bbr", "--initial-rtt=100ms"]
UNKNOWN_VERSION = "0x3a4a5a6a"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a side of one run needs to know."""

    tools: Tools
    case: Case
    names: list[str]
    www: pathlib.Path
    downloads: pathlib.Path
    certificates: pathlib.Path
    key_log: pathlib.Path
    folder: pathlib.Path
    alpn: str

    @property
    def address(self) -> str:
        return ADDRESS_B6 if self.case.is_ipv6 else ADDRESS_B

    @property
    def urls(self) -> list[str]:
        host = f"[{self.address}]" if self.case.is_ipv6 else self.address
        return [f"https://{host}:{PORT}/{name}" for name in self.names]


@dataclasses.dataclass(frozen=True)
class Command:
    """A program with its arguments and environment."""

    arguments: list
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


class Peer:
    """An implementation of QUIC."""

    name = ""
    # By role and case, why it cannot take part.
    lacks: dict[str, dict[str, str]] = {"client": {}, "server": {}}
    is_http3_only = False

    def version(self, tools: Tools) -> str:
        """For the table of results; raises Skip where it is not installed."""
        raise NotImplementedError

    def server(self, run: Run) -> Command:
        raise NotImplementedError

    def client(self, run: Run) -> list[Command]:
        raise NotImplementedError


class Qtun(Peer):
    """Our endpoint, driven as the runner drives all."""

    name = "qtun"
    _no_0rtt = "qtun neither sends nor takes 0-RTT data, which can be replayed"
    lacks = {
        "client": {"zerortt": _no_0rtt},
        "server": {"zerortt": _no_0rtt},
    }

    def server(self, run: Run) -> Command:
        return Command([run.tools.endpoint], self._environment(run, "server") | {
            "TESTCASE": run.case.server_case, "QTUN_WWW": str(run.www), "QTUN_PORT": str(PORT),
        })

    def client(self, run: Run) -> list[Command]:
        return [Command([run.tools.endpoint], self._environment(run, "client") | {
            "TESTCASE": "ipv6" if run.case.is_ipv6 else run.case.client,
            "REQUESTS": " ".join(run.urls), "QTUN_DOWNLOADS": str(run.downloads),
        })]

    def _environment(self, run: Run, role: str) -> dict[str, str]:
        return {
            "ROLE": role, "QTUN_ALPN": run.alpn, "QTUN_CERTS": str(run.certificates),
            "SSLKEYLOGFILE": str(run.key_log),
        }


class Aioquic(Peer):
    name = "aioquic"
    _no_ecn = "aioquic neither sets nor reports ECN marks"
    lacks = {
        "client": {
            "ecn": _no_ecn,
            "connectionmigration": "aioquic's client does not follow a preferred address",
        },
        "server": {
            "ecn": _no_ecn, "connectionmigration": "aioquic's server offers no preferred address",
        },
    }

    def version(self, tools: Tools) -> str:
        text = "import aioquic; print(aioquic.__version__)"
        return subprocess.check_output([tools.python, "-c", text], text=True).strip()

    def server(self, run: Run) -> Command:
        options = ["--retry"] if run.case.name == "retry" else []
        return Command([
            run.tools.python, "-B", run.tools.interop / "peers" / "aioquic_server.py",
            "--host", run.address, "--port", PORT, "--certificate", run.certificates / "cert.pem",
            "--key", run.certificates / "priv.key", "--www", run.www, "--key-log", run.key_log,
            *options,
        ])

    def client(self, run: Run) -> list[Command]:
        options = {
            "chacha20": ["--cipher", "CHACHA20_POLY1305_SHA256"],
            "keyupdate": ["--key-update"],
            "multiconnect": ["--each"],
            "resumption": ["--resume"],
            "transfer": ["--max-data", str(256 * 1024)],
            "v2": ["--version", "0x1", "--version", "0x6b3343cf"],
            "versionnegotiation": ["--version", UNKNOWN_VERSION, "--version", "0x1"],
        }
        return [Command([
            run.tools.python, "-B", run.tools.interop / "peers" / "aioquic_client.py",
            "--host", run.address, "--port", PORT, "--authority", run.certificates / "ca.pem",
            "--downloads", run.downloads, "--key-log", run.key_log, "--alpn", run.alpn,
            *options.get(run.case.client, []), *run.names,
        ])]


class Gtls(Peer):
    """ngtcp2's examples on GnuTLS: the libraries that we use, as their authors use them."""

    name = "gtls"
    is_http3_only = True
    lacks = {
        "client": {
            "versionnegotiation": "gtlsclient gives up when a version is refused",
        },
        "server": {},
    }

    def version(self, tools: Tools) -> str:
        tools.program("gtlsclient"), tools.program("gtlsserver")
        return _debian_version("ngtcp2-client")

    def server(self, run: Run) -> Command:
        options = {
            "ecn": ["--no-pmtud"],
            "retry": ["--validate-addr"],
            "v2": ["--preferred-versions=v2"],
            "multiconnect": ["--handshake-timeout=180s"],
            "connectionmigration": [f"--preferred-ipv4-addr={ADDRESS_B}:{PORT + 1}"],
        }
        return Command([
            run.tools.program("gtlsserver"), *GTLS, "-d", run.www,
            *options.get(run.case.server_case, []), run.address, PORT,
            run.certificates / "priv.key", run.certificates / "cert.pem",
        ], {"SSLKEYLOGFILE": str(run.key_log)})

    def client(self, run: Run) -> list[Command]:
        ciphers = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"
        session = [
            f"--session-file={run.folder / 'session'}", "--wait-for-ticket", "--disable-early-data"]
        options = {
            "chacha20": [f"--ciphers={ciphers}"],
            "ecn": ["--no-pmtud"],
            "keyupdate": ["--key-update=1ms", "--delay-stream=10ms"],
            "multiconnect": ["--handshake-timeout=180s"],
            "resumption": session,
            "v2": ["--available-versions=v2,v1"],
        }
        visits = [run.urls]
        if run.case.client == "multiconnect":
            visits = [[url] for url in run.urls]
        elif run.case.client == "resumption":
            visits = [run.urls[:1], run.urls[1:]]
        return [Command([
            run.tools.program("gtlsclient"), *GTLS, "--exit-on-all-streams-close",
            f"--download={run.downloads}", *options.get(run.case.client, []), run.address, PORT,
            *urls,
        ], {"SSLKEYLOGFILE": str(run.key_log)}) for urls in visits]


class QuicGo(Peer):
    name = "quic-go"
    _no_paths = "quic-go's server does not follow a client to another address"
    _unmarked = "quic-go leaves packets unmarked until the marks are known to pass"
    lacks = {
        "client": {
            "ecn": _unmarked,
            "chacha20": "Go offers no choice among the ciphers of TLS 1.3",
            "keyupdate": "quic-go's public interface starts no key update",
            "v2": "quic-go does not change versions within a connection",
            "connectionmigration": "quic-go's client does not follow a preferred address",
            "versionnegotiation": "quic-go's public interface offers no unknown version",
        },
        "server": {
            "v2": "quic-go does not change versions within a connection",
            "ecn": _unmarked, "rebind-port": _no_paths, "rebind-addr": _no_paths,
            "connectionmigration": "quic-go's server offers no preferred address",
        },
    }

    def version(self, tools: Tools) -> str:
        tools.quicgo
        return _debian_version("golang-github-lucas-clemente-quic-go-dev")

    def server(self, run: Run) -> Command:
        host = f"[{run.address}]" if run.case.is_ipv6 else run.address
        options = ["--retry"] if run.case.name == "retry" else []
        return Command([
            run.tools.quicgo, "server", "--listen", f"{host}:{PORT}", "--certs", run.certificates,
            "--www", run.www, *options,
        ], {"SSLKEYLOGFILE": str(run.key_log)})

    def client(self, run: Run) -> list[Command]:
        options = {"multiconnect": ["--each"], "resumption": ["--resume"]}
        return [Command([
            run.tools.quicgo, "client", "--certs", run.certificates, "--downloads", run.downloads,
            "--alpn", run.alpn, *options.get(run.case.client, []), *run.urls,
        ], {"SSLKEYLOGFILE": str(run.key_log)})]


def _debian_version(package: str) -> str:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout.strip() or "of unknown version"


OURS = Qtun()
PEERS = [Aioquic(), Gtls(), QuicGo()]
