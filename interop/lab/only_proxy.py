"""A network that lets nothing out but TCP to an HTTP proxy, which connects to port 443 alone.

Two namespaces and a wire: the share and the proxy at one end, the connecting side at the other, behind
a packet filter that drops everything else without a word. Run by `interop/run-lab-tests`:

    unshare -Urn python3 interop/lab/only_proxy.py .build/release/qtun
"""

import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.proxy import Proxy  # noqa: E402

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
CONNECT_SECONDS_MAX = 2.0
ROUNDS = 5
PAYLOAD = random.Random(77).randbytes(4_000_000)
CREDENTIALS = "user:pass word"
FILTER = """table inet lab {{ chain output {{ type filter hook output priority 0; policy drop;
  oifname "lo" accept; ip daddr {server} tcp dport {port} accept; }}; }}"""


class Failure(Exception):
    """A bar or a byte was wrong."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Failure(text)


def run(*words: object, **options) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, **options)


class Network:
    """The wire, and the namespace of the connecting side, which ends with its process."""

    def __init__(self) -> None:
        run("ip", "link", "set", "lo", "up")
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
        self._holder.stdout.readline()
        run("ip", "link", "add", "outer", "mtu", 1500, "type", "veth", "peer", "name", "inner",
            "netns", self._holder.pid)
        run("ip", "address", "add", f"{SERVER}/24", "dev", "outer")
        run("ip", "link", "set", "outer", "up")
        for words in [["link", "set", "lo", "up"], ["link", "set", "inner", "up"],
                      ["address", "add", f"{CLIENT}/24", "dev", "inner"],
                      ["route", "add", "default", "via", SERVER]]:
            run(*self.inside, "ip", *words)

    @property
    def inside(self) -> list[str]:
        """What runs a command in the namespace of the connecting side."""
        return ["nsenter", "-t", str(self._holder.pid), "-n"]

    def allow_only(self, port: int) -> None:
        text = FILTER.format(server=SERVER, port=port)
        run(*self.inside, "nft", "-f", "-", input=text.encode())

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


def echo(listener: socket.socket) -> None:
    """A service that sends back what it gets."""
    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=[connection], daemon=True).start()


class Lab:
    """A share at port 443, and runs of the connecting side."""

    def __init__(self, qtun: str, folder: pathlib.Path, network: Network) -> None:
        self._qtun, self._folder, self._network = qtun, folder, network
        self._service = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=echo, args=[self._service], daemon=True).start()
        (folder / "payload").write_bytes(PAYLOAD)
        self._share = subprocess.Popen(
            [qtun, "share", f"127.0.0.1:{self._service.getsockname()[1]}", "--listen", "443"],
            env=self._environment("share"), stdout=subprocess.PIPE,
            stderr=(folder / "share.log").open("wb"))
        self._ticket = self._share.stdout.readline().decode().strip()

    def _environment(self, name: str, **more: str) -> dict[str, str]:
        path = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        return path | {"QTUN_IDENTITY": str(self._folder / f"{name}.key")} | more

    def transfer(self, *options: str, **environment: str) -> tuple[int, str, float]:
        """Sends bytes there and back; exit status, log, and when it was connected."""
        log = self._folder / "connect.log"
        started, connected = time.monotonic(), 0.0
        with (self._folder / "payload").open("rb") as source, log.open("wb") as errors, \
                (self._folder / "echo").open("wb") as sink:
            process = subprocess.Popen(
                [*self._network.inside, self._qtun, "pipe", self._ticket, *options],
                env=self._environment("connect", **environment), stdin=source, stdout=sink,
                stderr=errors)
            try:
                while process.poll() is None:
                    require(time.monotonic() - started < 30, "not over after 30 s")
                    if not connected and b"connected" in log.read_bytes():
                        connected = time.monotonic() - started
                    time.sleep(0.005)
            finally:
                process.kill()
                process.wait()
        return process.returncode, log.read_text(errors="replace"), connected

    def require_transfer(self, carrier: str, *options: str, **environment: str) -> float:
        status, log, connected = self.transfer(*options, **environment)
        require(status == 0, f"exit status {status}: {log}")
        require((self._folder / "echo").read_bytes() == PAYLOAD, "the bytes differ")
        require(f"direct {carrier} " in log, f"not over {carrier}: {log}")
        require(connected < CONNECT_SECONDS_MAX, f"connected after {connected:.2f} s")
        return connected

    def close(self) -> None:
        self._service.close()
        self._share.terminate()
        try:
            self._share.wait(10)
        except subprocess.TimeoutExpired:
            self._share.kill()


def plain(lab: Lab, proxy: Proxy) -> str:
    url = f"http://{SERVER}:{proxy.port}"
    seconds = [lab.require_transfer("tcp", "--proxy", url) for _ in range(ROUNDS)]
    status, log, _ = lab.transfer("--proxy", "none", "--idle-timeout", "5s")
    require(status == 5 and "no answer from the peer" in log, f"without it: {status}, {log}")
    return f"connected after {statistics.median(seconds):.2f} s (median of {ROUNDS}, worst " \
           f"{max(seconds):.2f} s); nothing passes without it"


def websocket(lab: Lab, proxy: Proxy) -> str:
    url = f"http://{SERVER}:{proxy.port}"
    options = ["--proxy", url, "--carrier", "ws"]
    seconds = [lab.require_transfer("ws", *options) for _ in range(ROUNDS)]
    return f"connected after {statistics.median(seconds):.2f} s (median of {ROUNDS})"


def credentials(lab: Lab, proxy: Proxy) -> str:
    url = f"http://user:pass%20word@{SERVER}:{proxy.port}"
    seconds = lab.require_transfer("tcp", HTTPS_PROXY=url)
    for given, cause in [("", "asks for a user"), ("user:wrong@", "does not accept the user")]:
        status, log, _ = lab.transfer("--proxy", f"http://{given}{SERVER}:{proxy.port}")
        require(status == 5 and cause in log and "fix: " in log, f"{given}: {status}, {log}")
        require("wrong" not in log, f"the password is shown: {log}")
    return f"connected after {seconds:.2f} s; none and wrong ones are told apart"


CASES = {
    "only a proxy passes": (plain, None),
    "only a proxy passes, over a websocket": (websocket, None),
    "only a proxy with credentials passes": (credentials, CREDENTIALS),
}


def main() -> int:
    qtun = os.path.abspath(sys.argv[1])
    try:
        network = Network()
        network.allow_only(1)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skip  only a proxy passes  no namespace with a packet filter here ({error})")
        print(f"0 passed, 0 failed, {len(CASES)} skipped")
        return 0
    failed = 0
    try:
        for name, (case, required) in CASES.items():
            proxy = Proxy(credentials=required, address=(SERVER, 0), ports={443})
            run(*network.inside, "nft", "flush", "ruleset")
            network.allow_only(proxy.port)
            with tempfile.TemporaryDirectory(prefix="qtun-lab-") as folder:
                lab = Lab(qtun, pathlib.Path(folder), network)
                try:
                    print(f"ok    {name}: {case(lab, proxy)}", flush=True)
                except (Failure, OSError) as error:
                    failed += 1
                    print(f"FAIL  {name}: {error!r}", flush=True)
                    print((pathlib.Path(folder) / "share.log").read_text(errors="replace")[-3000:])
                finally:
                    lab.close()
                    proxy.close()
    finally:
        network.close()
    print(f"{len(CASES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
