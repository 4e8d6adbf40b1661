"""Public addresses: `qtun relay --ports`, `qtun share --public`, and visitors who have no qtun."""

import contextlib
import hashlib
import json
import re
import signal
import socket
import subprocess
import threading
import time

from cli.datagram_cases import DatagramService
from cli.group import Group
from cli.sockets import dial, echo, ending, receive_exactly, receive_to_end
from cli.stage import Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("public")
PORTS = 6


class Relay:
    """A running `qtun relay` that gives out public ports."""

    def __init__(
        self, stage: Stage, *options: object, port: int = 0, first: int = 0,
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self.stage = stage
        self.first = first or free_range()
        self.options = options or ("--open",)
        self.process = stage.start(
            "relay", "--listen", f"127.0.0.1:{port}", "--ports",
            f"{self.first}-{self.first + PORTS - 1}", "--state", stage.workspace.path / "state",
            *self.options, wrapper=wrapper)
        self.name = first_line(self.process)
        self.port = int(self.name.rsplit(":", 1)[1])

    def kill_and_restart(self) -> "Relay":
        """As after a crash: nobody is told anything."""
        end(self.process, signal.SIGKILL)
        return Relay(self.stage, *self.options, port=self.port, first=self.first)


def free_range() -> int:
    """The first of some ports in a row that nobody listens at."""
    for first in range(21_000 + hash(time.monotonic_ns()) % 8_000, 32_000, PORTS):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + PORTS):
                    for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM]:
                        probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                        probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


def start_share(stage: Stage, relay: Relay, target: object, *options: object, key: str = "") -> Process:
    words = ["--identity", stage.workspace.path / key] if key else []
    # The option takes the word behind it for its value.
    return stage.start(
        "share", target, "--listen", "127.0.0.1:0", "--rendezvous", relay.name, *words, *options)


def address_of(share: Process, number: int = 1) -> str:
    """A public address that a share printed, after its ticket."""
    found = share.wait_for(lambda: share.output().count("\n") > number, seconds=20)
    require(bool(found), f"no public address: {share.errors()}")
    return share.output().split("\n")[number]


def port_of(address: str) -> int:
    found = re.fullmatch(r"(?:udp:)?127\.0\.0\.1:(\d+)", address)
    require(found is not None, f"'{address}' is no public address")
    return int(found.group(1))


def echoes(port: int, message: bytes = b"hello, stranger") -> bool:
    try:
        with dial(port) as visitor:
            visitor.settimeout(2)
            visitor.sendall(message)
            return receive_exactly(visitor, len(message)) == message
    except Exception:
        return False


def _wait_until_served(port: int, seconds: float) -> float:
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if echoes(port):
            return time.monotonic() - start
        time.sleep(0.05)
    require(False, f"port {port} does not serve again within {seconds} s")
    return seconds


def _named(name: str):
    """A service that says its name, and then what it hears."""

    def serve(connection: socket.socket) -> int:
        connection.sendall(name.encode() + b"\n")
        return echo(connection)

    return serve


def _who(port: int) -> str:
    """The name of the service behind a public port."""
    with dial(port) as visitor:
        visitor.settimeout(10)
        visitor.sendall(b"x")
        return visitor.makefile().readline().strip()


@GROUP.case("public-tcp")
def _tcp(stage: Stage) -> None:
    """curl and netcat, which know nothing of qtun, by a port of the relay."""
    relay = Relay(stage)
    site = stage.workspace.path / "site"
    site.mkdir()
    body = bytes(range(256)) * 8192
    (site / "file").write_bytes(body)
    share = start_share(stage, relay, f"dir:{site}", "--public")
    address = address_of(share)
    require(relay.first <= port_of(address) < relay.first + PORTS, "the port is not of the range")
    found = subprocess.run(
        ["curl", "-sS", "--max-time", "20", f"http://{address}/file"], capture_output=True, check=True)
    require(hashlib.sha256(found.stdout).digest() == hashlib.sha256(body).digest(), "other bytes")
    service = stage.service(echo)
    other = start_share(stage, relay, service.port, "--public", relay.first + 4)
    port = port_of(address_of(other))
    require(port == relay.first + 4, "it is not the port that was asked for")
    said = subprocess.run(
        ["nc", "-N", "-w", "10", "127.0.0.1", str(port)], input=b"over netcat\n", capture_output=True,
        check=True)
    require(said.stdout == b"over netcat\n", f"netcat heard {said.stdout}")
    require(end(other, signal.SIGTERM) == 0, "the share did not end well")
    with contextlib.suppress(ConnectionRefusedError):
        dial(port).close()
        require(False, "somebody still listens for a share that ended")


@GROUP.case("public-json")
def _json(stage: Stage) -> None:
    relay = Relay(stage)
    service = stage.service(echo)
    share = start_share(stage, relay, service.port, "--public", "--json")
    fact = json.loads(address_of(share))
    require(fact["event"] == "public" and fact["kind"] == "tcp", f"it says {fact}")
    require(echoes(fact["port"]), "nothing comes back")
    status = [json.loads(line) for line in stage.run("status", "--json").output().splitlines()]
    places = [place["address"] for run in status for place in run.get("public", [])]
    require(places == [fact["address"]], f"status says {places}")
    require_text(stage.run("status").output(), f"public  {fact['address']}")


@GROUP.case("public-half-close")
def _half_close(stage: Stage) -> None:
    """Ends and resets arrive as what they are, also when the service speaks first or refuses."""
    relay = Relay(stage)
    service = stage.service(_named("first"))
    port = port_of(address_of(start_share(stage, relay, service.port, "--public")))
    with dial(port) as visitor:
        visitor.sendall(b"to the end")
        visitor.shutdown(socket.SHUT_WR)
        require(receive_to_end(visitor) == b"first\nto the end", "something is lost at the end")
    service.close()
    with dial(port) as visitor:
        require(ending(visitor) == "RST", "a refused target does not reset the visitor")


@GROUP.case("public-udp")
def _udp(stage: Stage) -> None:
    relay = Relay(stage)
    service = DatagramService(lambda data: data[::-1])
    share = start_share(stage, relay, f"udp:127.0.0.1:{service.port}", "--public")
    address = address_of(share)
    require(address.startswith("udp:"), f"'{address}' is not of UDP")
    for size in [1, 1200, 9000, 60000]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as visitor:
            visitor.settimeout(1)
            visitor.connect(("127.0.0.1", port_of(address)))
            question = bytes(index * 7 % 251 for index in range(size))
            for _ in range(5):
                visitor.send(question)
                with contextlib.suppress(TimeoutError):
                    require(visitor.recv(1 << 16) == question[::-1], "another datagram came back")
                    break
            else:
                require(False, f"no answer to {size} bytes")


@GROUP.case("public-dns")
def _dns(stage: Stage) -> None:
    """dig, over UDP and TCP at one number: an authoritative answer with one address."""

    def answer(question: bytes) -> bytes:
        end_of_name = question.index(b"\0", 12) + 5
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07"
        return question[:2] + b"\x84\0\0\x01\0\x01\0\0\0\0" + question[12:end_of_name] + record

    relay = Relay(stage)
    service = DatagramService(answer)
    share = start_share(stage, relay, f"udp:127.0.0.1:{service.port}", "--public", relay.first + 2)
    port = port_of(address_of(share))
    found = subprocess.run(
        ["dig", "+short", "+tries=3", "+time=3", "@127.0.0.1", "-p", str(port), "name.example"],
        capture_output=True, text=True, check=True)
    require(found.stdout.strip() == "192.0.2.7", f"dig says '{found.stdout}'")


@GROUP.case("public-bulk")
def _bulk(stage: Stage) -> None:
    """iperf3 both ways, four connections at a time."""
    relay = Relay(stage)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = probe.getsockname()[1]
    server = subprocess.Popen(
        ["iperf3", "-s", "-B", "127.0.0.1", "-p", str(target)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    stage.at_end(server.kill)
    share = start_share(stage, relay, target, "--public")
    port = port_of(address_of(share))
    found = subprocess.run(
        ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-P", "4", "-t", "2", "--bidir", "-J"],
        capture_output=True, text=True, timeout=60)
    report = json.loads(found.stdout)
    require("error" not in report, f"iperf3: {report.get('error')}")
    for name in ["sum_received", "sum_received_bidir_reverse"]:
        require(report["end"][name]["bytes"] > 1 << 20, f"{name}: hardly anything passed")


@GROUP.case("public-share-killed")
def _share_killed(stage: Stage) -> None:
    """The same key has its port back at once, though the relay still believes in the first process."""
    relay = Relay(stage)
    service = stage.service(echo)
    share = start_share(stage, relay, service.port, "--public")
    port = port_of(address_of(share))
    visitor = dial(port)
    visitor.sendall(b"in the middle")
    require(receive_exactly(visitor, 13) == b"in the middle", "no answer")
    end(share, signal.SIGKILL)
    again = start_share(stage, relay, service.port, "--public")
    require(port_of(address_of(again)) == port, "it has another port")
    _wait_until_served(port, 3)
    visitor.close()
    # A service of its own gets a port of its own, and leaves this one alone.
    other = start_share(stage, relay, stage.service(echo).port, "--public")
    require(port_of(address_of(other)) != port, "two services have one port")
    require(echoes(port), "the first one is served no more")


@GROUP.case("public-relay-killed")
def _relay_killed(stage: Stage) -> None:
    """kill -9 of the relay: within 3 s of its start everybody has the same port again."""
    relay = Relay(stage)
    service = stage.service(echo)
    shares = [
        start_share(stage, relay, service.port, "--public", key=f"key-{number}") for number in range(3)]
    ports = [port_of(address_of(share)) for share in shares]
    require(len(set(ports)) == 3, f"ports {ports}")
    relay = relay.kill_and_restart()
    start = time.monotonic()
    for port in ports:
        _wait_until_served(port, 3 - (time.monotonic() - start))
    # Even a share that was gone meanwhile: the lease is in the file.
    end(shares[0], signal.SIGKILL)
    relay = relay.kill_and_restart()
    stranger = start_share(stage, relay, service.port, "--public", ports[0], key="thief")
    require(stranger.wait(10) == 4, f"the thief ended with {stranger.status}")
    again = start_share(stage, relay, service.port, "--public", key="key-0")
    require(port_of(address_of(again)) == ports[0], "it has another port")


@GROUP.case("public-refusals")
def _refusals(stage: Stage) -> None:
    """Each says why."""
    service = stage.service(echo)
    relay = Relay(stage)
    holder = start_share(stage, relay, service.port, "--public", relay.first)
    address_of(holder)
    for words, text in [
        (["--public", relay.first], "another key holds it"),
        (["--public", "80"], "it does not give out this port"),
        (["--public", "app.example.com"], "it has no public addresses of this kind"),
    ]:
        share = start_share(stage, relay, service.port, *words, key="other")
        require(share.wait(10) == 4, f"{words}: it ended with {share.status}")
        require_text(share.errors(), text)
    # What another program has is passed over, and said where it was asked for.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", relay.first + 1))
        taken.listen()
        share = start_share(stage, relay, service.port, "--public", relay.first + 1, key="other")
        require(share.wait(10) == 4, f"it ended with {share.status}")
        require_text(share.errors(), "another program there has the port")


@GROUP.case("public-wrong-words")
def _wrong_words(stage: Stage) -> None:
    key = f"{'a' * 52}@127.0.0.1:1"
    for words, part in [
        (["share", "3000", "--public"], "--public needs a relay"),
        (["share", "3000", "--rendezvous", key, "--public", "70000"], "out of the range of ports"),
        (["share", "3000", "--rendezvous", key, "--public", "-x"], "is not an option"),
        (["share", "3000", "--rendezvous", key, "--public", "db=1"], "is not shared"),
        (["share", "a=1", "b=2", "--rendezvous", key, "--public", "80"], "which of 2 services"),
        (["share", "dynamic:*:443", "--rendezvous", key, "--public"], "cannot be public"),
        (["share", "udp:53", "--rendezvous", key, "--public", "a.example"], "has no names"),
        (["share", "3000", "--group", "x"], "--group is of use with --public only"),
        (["relay", "--http", "80", "--open"], "none is given out"),
        (["relay", "--open", "--state", "x"], "there are none"),
        (["relay", "--ports", "20-10", "--open"], "the lower one first"),
        (["relay", "--http", "80", "--names", "a..b", "--open"], "is not a name"),
    ]:
        process = stage.run(*words, status=2)
        require_text(process.errors(), part)


@GROUP.case("public-group")
def _group(stage: Stage) -> None:
    """Two sharers of one port take turns; one that is gone, or whose target refuses, is passed over."""
    relay = Relay(stage)
    secret = stage.workspace.path / "group"
    services = [stage.service(_named(name)) for name in ["one", "two"]]
    shares = []
    for number, service in enumerate(services):
        shares.append(
            start_share(stage, relay, service.port, "--group", secret, "--public", key=f"member-{number}"))
        require(port_of(address_of(shares[-1])) == port_of(address_of(shares[0])), "members differ")
    port = port_of(address_of(shares[0]))
    names = [_who(port) for _ in range(6)]
    require(names.count("one") == names.count("two") == 3, f"served by {names}")
    other = start_share(stage, relay, services[0].port, "--public", port, key="uninvited")
    require(other.wait(10) == 4, f"it ended with {other.status}")
    require_text(other.errors(), "another key holds it")
    # The target of one is gone: nobody notices.
    services[0].close()
    require([_who(port) for _ in range(6)] == ["two"] * 6, "a refusal was not passed over")
    # And then the other's whole share, while the first one's service is back.
    services[0] = stage.service(_named("back"), port=services[0].port)
    end(shares[1], signal.SIGKILL)
    require({_who(port) for _ in range(4)} == {"back"}, "a dead member was not passed over")


@GROUP.case("public-proxy-protocol")
def _proxy_protocol(stage: Stage) -> None:
    """The target hears where the visitor comes from."""

    def head(connection: socket.socket) -> bytes:
        return receive_to_end(connection)

    relay = Relay(stage)
    service = stage.service(head)
    share = start_share(stage, relay, service.port, "--proxy-protocol", "v1", "--public")
    port = port_of(address_of(share))
    with dial(port) as visitor:
        source = visitor.getsockname()[1]
        visitor.sendall(b"body")
        visitor.shutdown(socket.SHUT_WR)
        wanted = f"PROXY TCP4 127.0.0.1 127.0.0.1 {source} {port}\r\nbody".encode()
        said = service.outcome()
        require(said == wanted, f"the target heard {said}")


@GROUP.case("public-drain")
def _drain(stage: Stage) -> None:
    """A share that is told to stop takes no visitor more and serves those that are there to the end."""
    relay = Relay(stage)
    service = stage.service(echo)
    share = start_share(stage, relay, service.port, "--public")
    port = port_of(address_of(share))
    visitor = dial(port)
    visitor.sendall(b"a")
    receive_exactly(visitor, 1)
    share.send(signal.SIGTERM)
    require_line(share, "stopping")
    body = bytes(range(256)) * 4096
    threading.Thread(target=lambda: (visitor.sendall(body), visitor.shutdown(socket.SHUT_WR))).start()
    require(receive_to_end(visitor) == body, "the visitor did not get everything")
    require(share.wait(5) == 0, "the share does not end")


@GROUP.case("public-http-names")
def _http_names(stage: Stage) -> None:
    """Two sites at one port of the relay, told apart by the host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        door = probe.getsockname()[1]
    relay = Relay(stage, "--open", "--http", f"127.0.0.1:{door}", "--names", "*.example.com")
    for name in ["one", "two"]:
        site = stage.workspace.path / name
        site.mkdir()
        (site / "index.html").write_text(f"this is {name}")
        share = start_share(stage, relay, f"dir:{site}", "--public", f"{name}.example.com", key=f"k-{name}")
        address = address_of(share)
        require(address == f"http://{name}.example.com:{door}", f"it says {address}")
    for name in ["one", "two", "two", "one"]:
        found = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "--resolve", f"{name}.example.com:{door}:127.0.0.1",
             f"http://{name}.example.com:{door}/"], capture_output=True, text=True, check=True)
        require(found.stdout == f"this is {name}", f"{name} is '{found.stdout}'")
    thief = start_share(stage, relay, f"dir:{stage.workspace.path}", "--public", "one.example.com", key="t")
    require(thief.wait(10) == 4, f"the thief ended with {thief.status}")
    other = start_share(stage, relay, f"dir:{stage.workspace.path}", "--public", "example.org", key="t")
    require(other.wait(10) == 4, f"it ended with {other.status}")
    require_text(other.errors(), "it does not give out this name")


@GROUP.case("public-state-unwritable")
def _state(stage: Stage) -> None:
    """A relay whose leases cannot be read says so and does not start."""
    state = stage.workspace.path / "state"
    relay = Relay(stage)
    end(relay.process, signal.SIGTERM)
    key = relay.name.split("@")[0]
    state.mkdir(exist_ok=True)
    (state / f"leases-{key}").write_text("something else\n")
    failed = stage.run(
        "relay", "--listen", "127.0.0.1:0", "--ports", "21000-21001", "--open", "--state", state,
        status=3)
    require_text(failed.errors(), "line 1 cannot be understood")


@GROUP.case("public-state-locked")
def _locked(stage: Stage) -> None:
    """A second relay that would write the first one's leases says so and does not start."""
    state = stage.workspace.path / "state"
    relay = Relay(stage)
    words = ["relay", "--listen", "127.0.0.1:0", "--ports", "21000-21001", "--open", "--state", state]
    failed = stage.run(*words, status=3)
    require_text(failed.errors(), "another relay's, which is running", "fix: ")
    # One with a key of its own may use the folder, and a dead one holds nothing.
    other = stage.start(*words, "--identity", stage.workspace.path / "other")
    first_line(other)
    end(relay.process, signal.SIGKILL)
    first_line(stage.start(*words))


@GROUP.case("public-descriptors", seconds=60)
def _descriptors(stage: Stage) -> None:
    """A relay without descriptors lets visitors wait, does not spin, and takes them when others leave."""
    relay = Relay(stage, wrapper=("prlimit", "--nofile=48:48"))
    service = stage.service(echo)
    port = port_of(address_of(start_share(stage, relay, service.port, "--public")))
    visitors = [dial(port) for _ in range(60)]
    visitors[0].sendall(b"still there")
    require(receive_exactly(visitors[0], 11) == b"still there", "an early visitor is not served")
    for visitor in visitors:
        visitor.sendall(b"hello")
    before = relay.process.processor_seconds
    time.sleep(2)
    used = relay.process.processor_seconds - before
    require(used < 1, f"a relay that can do nothing used {used} s of 2")
    require(relay.process.descriptor_count <= 48, "more descriptors than allowed")
    # Those who are there leave one after the other, and the others are served in their place.
    for visitor in visitors:
        require(receive_exactly(visitor, 5) == b"hello", "a visitor was not served")
        visitor.close()
    _wait_until_served(port, 10)


@GROUP.case("public-visitors", seconds=60)
def _visitors(stage: Stage) -> None:
    """Five hundred visitors of one share at a time, and no descriptor more when they are gone."""
    relay = Relay(stage)
    service = stage.service(echo)
    share = start_share(stage, relay, service.port, "--public")
    port = port_of(address_of(share))
    require(echoes(port), "nothing comes back")
    before = [process.descriptor_count for process in [relay.process, share]]
    visitors = [dial(port) for _ in range(500)]
    for index, visitor in enumerate(visitors):
        visitor.sendall(b"%04d" % index)
    for index, visitor in enumerate(visitors):
        require(receive_exactly(visitor, 4) == b"%04d" % index, "mixed up")
        visitor.close()

    def is_released() -> bool:
        after = [process.descriptor_count for process in [relay.process, share]]
        return all(now <= then for now, then in zip(after, before))

    require(bool(share.wait_for(is_released, seconds=10)), "descriptors stay open")
