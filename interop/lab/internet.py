"""A small internet of network namespaces that vanishes with the process that made it.

    with Internet() as net:
        server = net.public("server", addresses=2)
        home = net.router("D")
        laptop, phone = net.host(home), net.host(home)
        net.start(laptop, ["ping", server.addresses[0]])

Every node is a namespace held by a sleeping child that dies with us; nothing is mounted or named, so
nothing can stay behind. It runs as root or inside `unshare -Urn`. In the middle stands a core
that forwards between all public addresses:

    public node ---- core ---- router ---- brl (bridge) ---- host, host, ...
    198.51.100.x     .1        wan 198.18.N.2    192.168.N.1       192.168.N.10, .11, ...

`Internet.wire` is the only place where two nodes are joined: a link emulator that delays and
loses goes there, between the two ends of the pair. With `has_ipv6` everybody also has a public IPv6
address, behind a firewall on the routers, that lets in answers only.
"""

import contextlib
import ctypes
import dataclasses
import os
import signal
import socket
import struct
import subprocess
import time

from lab import nat

PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
NETLINK_NETFILTER = 12
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """This machine does not let us build networks; the text says why."""


class CommandFailed(Exception):
    """A command in a node failed, which is an error of the laboratory."""


def die_with_parent(how: int = signal.SIGKILL) -> None:
    """For `preexec_fn`: a child that does not outlive the thread that made it."""
    _libc.prctl(PR_SET_PDEATHSIG, how)


@dataclasses.dataclass
class Node:
    """One machine of the internet."""

    name: str
    holder: subprocess.Popen
    addresses: list[str] = dataclasses.field(default_factory=list)
    # The core's interface to a public machine.
    link: str = ""

    @property
    def namespace(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"

    def command(self, words: list) -> list[str]:
        """The words that run a command in this node; it keeps the process id."""
        return ["nsenter", f"--net={self.namespace}", "--", *(str(word) for word in words)]

    def run(self, *words: object, stdin: str | None = None) -> str:
        """Runs a command to its end, which must be a good one."""
        done = subprocess.run(
            self.command(list(words)), input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            line = " ".join(str(word) for word in words)
            raise CommandFailed(f"'{line}' in {self.name}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def inside(self):
        """Makes sockets of this process belong to this node; they stay there afterwards."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        away = os.open(self.namespace, os.O_RDONLY)
        try:
            if _libc.setns(away, CLONE_NEWNET) != 0:
                raise CommandFailed(f"setns: {os.strerror(ctypes.get_errno())}")
            yield
        finally:
            _libc.setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(away)

    def forget_flows(self) -> None:
        """Makes the translator forget every flow, as a router does that was switched off and on."""
        # IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK, for all families: what `conntrack -F` says.
        message = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, socket.AF_UNSPEC, 0, 0)
        with self.inside(), socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            netlink.send(message)
            error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
        if error:
            raise CommandFailed(f"forget flows in {self.name}: {os.strerror(-error)}")

    def bytes_passed(self, interface: str = "eth0") -> int:
        """What an interface has received and sent."""
        with open(f"/proc/{self.holder.pid}/net/dev") as lines:
            for line in lines:
                name, _, numbers = line.partition(":")
                if name.strip() == interface:
                    fields = numbers.split()
                    return int(fields[0]) + int(fields[8])
        raise CommandFailed(f"no {interface} in {self.name}")


@dataclasses.dataclass
class Router:
    """A translator, or two in series, with a network behind it."""

    kind: nat.Kind
    inner: Node
    address: str
    network: str
    # The core's interface to it.
    link: str
    # The translators on the way out, each with its rules.
    translators: list[tuple[Node, str]]
    hosts: int = 0

    def restart(self) -> None:
        """Nothing that was there before is known to it any more."""
        for node, rules in self.translators:
            node.run("nft", "-f", "-", stdin="flush ruleset\n" + rules)
        self.forget_flows()

    def forget_flows(self) -> None:
        for node, _ in self.translators:
            node.forget_flows()


class Internet:
    """Builds nodes, and ends them and everything in them."""

    def __init__(self, has_ipv6: bool = False) -> None:
        self._has_ipv6 = has_ipv6
        self._nodes: list[Node] = []
        self._children: list[subprocess.Popen] = []
        self._networks = 0
        self._publics = 0
        try:
            self.core = self._node("core")
            # What the rest needs: pairs of interfaces, a packet filter, forwarding.
            self.core.run("ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe2")
            self.core.run("ip", "link", "delete", "probe")
            self.core.run("nft", "list", "tables")
            self._forward(self.core)
        except (OSError, CommandFailed) as error:
            self.__exit__()
            raise Unavailable(str(error)) from None

    def __enter__(self) -> "Internet":
        return self

    def __exit__(self, *_) -> None:
        for process in self._children + [node.holder for node in self._nodes]:
            if process.poll() is None:
                process.kill()
            process.wait()

    # Nodes

    def public(self, name: str, addresses: int = 1) -> Node:
        """A machine with public addresses of its own."""
        self._publics += 1
        network = f"198.51.{99 + self._publics}"
        node = self._node(name)
        node.link = f"p{self._publics}"
        self.wire(self.core, node.link, node, "eth0")
        self.core.run("ip", "address", "add", f"{network}.1/24", "dev", node.link)
        for index in range(addresses):
            node.addresses.append(f"{network}.{10 + index}")
            node.run("ip", "address", "add", f"{node.addresses[-1]}/24", "dev", "eth0")
        node.run("ip", "route", "add", "default", "via", f"{network}.1")
        if self._has_ipv6:
            address = self._join6(self.core, node.link, node, "eth0", f"{self._publics:x}0")
            node.addresses.append(address)
        return node

    def _join6(self, gateway: Node, link: str, node: Node, name: str, network: str) -> str:
        """Gives both ends of a wire an address of one network; returns the second's."""
        prefix = f"2001:db8:{network}:"
        gateway.run("ip", "address", "add", f"{prefix}:1/64", "dev", link, "nodad")
        node.run("ip", "address", "add", f"{prefix}:10/64", "dev", name, "nodad")
        node.run("ip", "route", "add", "default", "via", f"{prefix}:1", "dev", name)
        return f"{prefix}:10"

    def router(self, letter: str, hairpin: bool = False) -> Router:
        """A router of a kind, between the core and a network of its own."""
        kind = nat.KINDS[letter]
        self._networks += 1
        number = self._networks
        outside, gateway = f"198.18.{number}.2", f"198.18.{number}.1"
        upstream, link = self.core, f"r{number}"
        translators = []
        if letter == "J":
            carrier, rules = self._translator(
                f"carrier{number}", "A", upstream, link, gateway, outside, f"100.64.{number}",
                hairpin)
            translators.append((carrier, rules))
            upstream, link = carrier, "inner"
            carrier.run("ip", "link", "set", "brl", "down")
            carrier.run("ip", "address", "flush", "dev", "brl")
            inner, rules = self._translator(
                f"router{number}", "C", upstream, link, f"100.64.{number}.1",
                f"100.64.{number}.2", f"192.168.{number}", hairpin)
        else:
            inner, rules = self._translator(
                f"router{number}", letter, upstream, link, gateway, outside,
                f"192.168.{number}", hairpin)
            if self._has_ipv6:
                self._route6(inner, number)
        translators.append((inner, rules))
        return Router(kind, inner, outside, f"192.168.{number}", f"r{number}", translators)

    def _route6(self, router: Node, number: int) -> None:
        """The network behind a router, on its bridge: 2001:db8:N2::/64."""
        outside = self._join6(self.core, f"r{number}", router, "wan", f"{number:x}1")
        network = f"2001:db8:{number:x}2:"
        router.run("ip", "address", "add", f"{network}:1/64", "dev", "brl", "nodad")
        self.core.run("ip", "route", "add", f"{network}:/64", "via", outside)

    def host(self, router: Router) -> Node:
        """One more machine behind a router."""
        number = router.hosts
        router.hosts += 1
        node = self._node(f"host {router.network}.{10 + number}")
        self.wire(router.inner, f"h{number}", node, "eth0")
        router.inner.run("ip", "link", "set", f"h{number}", "master", "brl")
        node.addresses = [f"{router.network}.{10 + number}"]
        node.run("ip", "address", "add", f"{node.addresses[0]}/24", "dev", "eth0")
        node.run("ip", "route", "add", "default", "via", f"{router.network}.1")
        if self._has_ipv6:
            network = f"2001:db8:{int(router.link[1:]):x}2:"
            node.addresses.append(f"{network}:{10 + number}")
            node.run("ip", "address", "add", f"{node.addresses[-1]}/64", "dev", "eth0", "nodad")
            node.run("ip", "route", "add", "default", "via", f"{network}:1")
        return node

    def start(self, node: Node, words: list, **options) -> subprocess.Popen:
        """Starts a program in a node; it ends with this internet at the latest."""
        child = subprocess.Popen(node.command(words), preexec_fn=die_with_parent, **options)
        self._children.append(child)
        return child

    # Parts

    def wire(self, one: Node, one_name: str, other: Node, other_name: str) -> None:
        """Joins two nodes by a pair of interfaces without delay or loss."""
        one.run(
            "ip", "link", "add", one_name, "type", "veth", "peer", "name", other_name, "netns",
            str(other.holder.pid))
        for node, name in ((one, one_name), (other, other_name)):
            node.run("ip", "link", "set", name, "up")

    def _translator(
        self, name: str, letter: str, upstream: Node, link: str, gateway: str, outside: str,
        network: str, hairpin: bool,
    ) -> tuple[Node, str]:
        node = self._node(name)
        self.wire(upstream, link, node, "wan")
        upstream.run("ip", "address", "add", f"{gateway}/24", "dev", link)
        node.run("ip", "address", "add", f"{outside}/24", "dev", "wan")
        node.run("ip", "route", "add", "default", "via", gateway)
        node.run("ip", "link", "add", "brl", "type", "bridge")
        node.run("ip", "address", "add", f"{network}.1/24", "dev", "brl")
        node.run("ip", "link", "set", "brl", "up")
        self._forward(node)
        rules = nat.rules(letter, outside, f"{network}.10", hairpin)
        if self._has_ipv6:
            rules += nat.FIREWALL6
        node.run("nft", "-f", "-", stdin=rules)
        return node, rules

    def _node(self, name: str) -> Node:
        holder = subprocess.Popen(
            ["unshare", "-n", "--", "sleep", "infinity"], preexec_fn=die_with_parent,
            stderr=subprocess.PIPE)
        node = Node(name, holder)
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        while True:
            if holder.poll() is not None:
                raise Unavailable(f"unshare -n: {holder.stderr.read().decode().strip()}")
            # A child that is about to become another program has no link to read for a moment.
            with contextlib.suppress(OSError):
                if os.readlink(node.namespace) != ours:
                    break
            if time.monotonic() > deadline:
                raise Unavailable("unshare -n takes longer than 10 s")
            time.sleep(0.002)
        self._nodes.append(node)
        if self._has_ipv6:
            # Addresses are of use at once, not only after a second of looking for doubles.
            path = "/proc/sys/net/ipv6/conf"
            node.run("sh", "-c", f"for i in all default; do echo 0 >{path}/$i/accept_dad; done")
        node.run("ip", "link", "set", "lo", "up")
        return node

    def _forward(self, node: Node) -> None:
        node.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        if self._has_ipv6:
            node.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
