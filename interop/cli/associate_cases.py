"""UDP through the SOCKS5 proxy of a dynamic service: a client of our own, and dig by way of it."""

import socket
import struct
import subprocess
import threading
import time

from cli.datagram_cases import DatagramService, answer_dns
from cli.group import Group
from cli.sockets import SECONDS_MAX, dial, receive_exactly
from cli.stage import Connect, Stage, end
from harness.suite import Failure, require

GROUP = Group("associate")
ATTEMPTS = 5
# Beyond what the associations themselves take.
DESCRIPTORS_MAX = 40


class SocksClient:
    """A program with a UDP association at a SOCKS5 proxy (RFC 1928 section 7)."""

    def __init__(self, port: int, announced: int = 0) -> None:
        self.control = dial(port)
        self.control.sendall(b"\5\1\0")
        require(receive_exactly(self.control, 2) == b"\5\0", "no greeting")
        self.control.sendall(b"\5\3\0\1\0\0\0\0" + announced.to_bytes(2, "big"))
        self.reply = receive_exactly(self.control, 10)
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.settimeout(2)
        if self.reply[1] == 0:
            host = socket.inet_ntoa(self.reply[4:8])
            self.relay = (host, int.from_bytes(self.reply[8:], "big"))

    def __enter__(self) -> "SocksClient":
        return self

    def __exit__(self, *_) -> None:
        self.control.close()
        self.datagrams.close()

    def send(self, target: bytes, data: bytes, fragment: int = 0) -> None:
        self.datagrams.sendto(bytes([0, 0, fragment]) + target + data, self.relay)

    def receive(self) -> tuple[bytes, bytes]:
        """An answer: the address that it names, as in a request, and its bytes."""
        data, sender = self.datagrams.recvfrom(1 << 16)
        require(sender == self.relay, f"an answer from {sender}")
        require(data[:3] == b"\0\0\0", f"header {data[:3]!r}")
        size = {1: 7, 4: 19}[data[3]]
        return data[3:3 + size], data[3 + size:]

    def ask(self, target: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Asks until there is an answer, as programs that use UDP do."""
        for _ in range(ATTEMPTS):
            self.send(target, data)
            try:
                while (answer := self.receive())[1] != data:
                    pass
                return answer
            except TimeoutError:
                continue
        raise Failure(f"no answer to {len(data)} bytes in {ATTEMPTS} attempts")

    def require_silence(self, target: bytes, data: bytes, fragment: int = 0) -> None:
        self.datagrams.settimeout(0.5)
        self.send(target, data, fragment)
        try:
            answer = self.receive()
        except TimeoutError:
            self.datagrams.settimeout(2)
            return
        raise Failure(f"{target!r} answered {answer!r}")


def _address(host: str, port: int) -> bytes:
    if ":" in host:
        return b"\4" + socket.inet_pton(socket.AF_INET6, host) + port.to_bytes(2, "big")
    return b"\1" + socket.inet_aton(host) + port.to_bytes(2, "big")


def _name(host: str, port: int) -> bytes:
    return b"\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


def _proxy(stage: Stage, rules: str, *options: object) -> Connect:
    return stage.connect(stage.share(f"dynamic:{rules}").ticket, *options)


@GROUP.case("every-kind-of-address", seconds=60)
def _kinds(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    port = service.port
    with SocksClient(_proxy(stage, f"127.0.0.1:{port}").port) as client:
        home = _address("127.0.0.1", port)
        mapped = b"\4" + bytes(10) + b"\xff\xff\x7f\0\0\1" + port.to_bytes(2, "big")
        for target in [home, _name("localhost", port), _name("127.0.0.1", port), mapped]:
            for size in [0, 1, 1200, 1500, 9000, 60000]:
                source, _ = client.ask(target, bytes(size))
                require(source == home, f"{target!r} answered as {source!r}")
        require(len(service.peers) == 1, f"one association came from {len(service.peers)} ports")


@GROUP.case("ipv6")
def _ipv6(stage: Stage) -> None:
    service = DatagramService(lambda data: data, host="::1")
    with SocksClient(_proxy(stage, f"[::1]:{service.port}").port) as client:
        home = _address("::1", service.port)
        require(client.ask(home, b"six") == (home, b"six"), "another answer")


@GROUP.case("several-targets-at-once")
def _several(stage: Stage) -> None:
    services = [DatagramService(lambda data: data) for _ in range(20)]
    rules = ",".join(f"127.0.0.1:{service.port}" for service in services)
    with SocksClient(_proxy(stage, rules).port) as client:
        for service in services:
            target = _address("127.0.0.1", service.port)
            require(client.ask(target, b"%d" % service.port)[0] == target, "another source")
    sources = {peer for service in services for peer in service.peers}
    require(len(sources) == 1, f"targets saw {len(sources)} ports")


@GROUP.case("what-is-not-allowed", seconds=60)
def _denied(stage: Stage) -> None:
    """Nothing reaches a target that no rule opens, in any spelling; fragments are dropped."""
    service = DatagramService(lambda data: data)
    closed = DatagramService(lambda data: data)
    rules = f"*:*,127.0.0.1:{service.port}"
    with SocksClient(_proxy(stage, rules).port) as client:
        port = closed.port
        for target in [
            _address("127.0.0.1", port), _address("127.0.0.2", port), _address("0.0.0.0", port),
            _address("::1", port), _address("::ffff:127.0.0.1", port), _name("localhost", port),
            _name("127.1", port), _name("0x7f000001", port), _name("2130706433", port),
            _address("64:ff9b::7f00:1", port), _name("::1", port), _address("127.0.0.1", 0),
        ]:
            client.send(target, b"secret")
        home = _address("127.0.0.1", service.port)
        client.require_silence(home, b"part", fragment=1)
        client.require_silence(home, b"part", fragment=0x81)
        require(client.ask(home, b"whole") == (home, b"whole"), "another answer")
        require(not closed.peers, f"a closed target heard {closed.peers}")


@GROUP.case("lives-as-long-as-its-connection", seconds=60)
def _lifetime(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    connect = _proxy(stage, f"127.0.0.1:{service.port}", "--udp-timeout", "1s")
    home = _address("127.0.0.1", service.port)
    before = connect.process.descriptor_count
    clients = [SocksClient(connect.port) for _ in range(100)]
    for client in clients:
        require(client.ask(home, b"?") == (home, b"?"), "another answer")
    # Longer than flows live: the associations do not end with them.
    time.sleep(2.5)
    require(clients[7].ask(home, b"again") == (home, b"again"), "gone with its flow")
    relay = clients[0].relay
    for number, client in enumerate(clients):
        if number % 2:
            # Ends with RST instead of FIN.
            client.control.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.control.close()
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def is_free() -> bool:
        try:
            probe.bind(relay)
            return True
        except OSError:
            return False

    require(connect.process.wait_for(is_free, 10), "the relay's port is not given back")
    few = connect.process.wait_for(lambda: connect.process.descriptor_count <= before + 2, 10)
    require(few, f"{connect.process.descriptor_count} descriptors instead of {before}")


@GROUP.case("only-the-client-is-heard")
def _source(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    connect = _proxy(stage, f"127.0.0.1:{service.port}")
    home = _address("127.0.0.1", service.port)
    with SocksClient(connect.port) as client, SocksClient(connect.port, announced=9) as other:
        for host in ["127.0.0.2", "127.0.0.1"]:
            stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stranger.bind((host, 0))
            stranger.settimeout(0.5)
            if host == "127.0.0.1":
                require(client.ask(home, b"mine") == (home, b"mine"), "another answer")
            stranger.sendto(b"\0\0\0" + home + b"theirs", client.relay)
            try:
                raise Failure(f"{host} was answered: {stranger.recv(100)!r}")
            except TimeoutError:
                pass
        # Its port is another than the one that it announced.
        other.require_silence(home, b"?")
        require(len(service.peers) == 1, f"{len(service.peers)} flows")


@GROUP.case("more-than-there-may-be", seconds=60)
def _bounded(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    connect = _proxy(stage, f"127.0.0.1:{service.port}")
    home = _address("127.0.0.1", service.port)
    before = connect.process.descriptor_count
    clients = [SocksClient(connect.port) for _ in range(300)]
    require(all(client.reply[1] == 0 for client in clients), "one was refused")
    count = connect.process.descriptor_count - before
    require(count <= 2 * 256 + DESCRIPTORS_MAX, f"{count} descriptors for 300 associations")
    require(clients[-1].ask(home, b"?") == (home, b"?"), "the last one has no relay")
    clients[0].control.settimeout(SECONDS_MAX)
    try:
        require(clients[0].control.recv(1) == b"", "the first one was told something")
    except ConnectionResetError:
        pass
    require(end(connect.process, 15) == 0, "connect did not drain")


@GROUP.case("through-qtun-to", seconds=40)
def _to(stage: Stage) -> None:
    service = DatagramService(lambda data: data)
    share = stage.share(f"dynamic:127.0.0.1:{service.port}")
    process = stage.start("to", share.ticket, "-D", "0")
    process.wait_for(lambda: "\n" in process.output(), seconds=20)
    # -D 127.0.0.1:PORT proxy
    port = int(process.output().split()[1].rsplit(":", 1)[1])
    home = _address("127.0.0.1", service.port)
    with SocksClient(port) as client:
        require(client.ask(home, b"?") == (home, b"?"), "another answer")


class _Shim:
    """A UDP port on loopback whose datagrams go to one target through a SOCKS association."""

    def __init__(self, client: SocksClient, target: bytes) -> None:
        self._client = client
        self._target = target
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", 0))
        self.port = self._near.getsockname()[1]
        self._program: tuple[str, int] | None = None
        client.datagrams.settimeout(None)
        for pump in [self._forth, self._back]:
            threading.Thread(target=pump, daemon=True).start()

    def _forth(self) -> None:
        while True:
            data, self._program = self._near.recvfrom(1 << 16)
            self._client.send(self._target, data)

    def _back(self) -> None:
        while True:
            self._near.sendto(self._client.receive()[1], self._program)


@GROUP.case("dig-through-socks", seconds=40)
def _dig(stage: Stage) -> None:
    program = stage.tools.program("dig")
    service = DatagramService(answer_dns)
    connect = _proxy(stage, f"127.0.0.1:{service.port}")
    shim = _Shim(SocksClient(connect.port), _name("localhost", service.port))
    for name, answer in [("seven77.example", "192.0.2.7"), ("abc.example", "192.0.2.3")]:
        done = subprocess.run(
            [program, "+short", "+tries=3", "+time=5", "-p", str(shim.port), "@127.0.0.1", name,
             "A"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=20)
        require(done.stdout.strip() == answer, f"dig says {done.stdout!r} {done.stderr!r}")


@GROUP.case("no-address-no-relay")
def _unix(stage: Stage) -> None:
    """A proxy at a Unix socket cannot tell whose datagrams are its program's."""
    service = DatagramService(lambda data: data)
    share = stage.share(f"dynamic:127.0.0.1:{service.port}")
    path = stage.temporary / "proxy"
    process = stage.start("connect", share.ticket, f"unix:{path}")
    process.wait_for(path.exists, seconds=20)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS_MAX)
        client.connect(str(path))
        client.sendall(b"\5\1\0\5\3\0\1\0\0\0\0\0\0")
        require(receive_exactly(client, 12)[2:4] == b"\5\7", "a relay for nobody")
