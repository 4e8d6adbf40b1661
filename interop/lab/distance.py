"""The small internet of `internet`, with a delay between the core and everybody, and routers on the way."""

import subprocess

from lab.bad_link import Unavailable, link_program
from lab.internet import Internet, Node

# Packets with fewer hops left die in the core, as they would in eight more routers.
CORE_HOPS = 8


class DistantInternet(Internet):
    """`round_trip` seconds between any two machines that do not share a router."""

    def __init__(self, qtun: str, round_trip: float, has_ipv6: bool = False) -> None:
        self._program = link_program(qtun)
        # Two wires on the way, each of them twice.
        self._delay = f"delay {round_trip * 1000 / 4:g}ms"
        # By the core's interface.
        self._links: dict[str, subprocess.Popen] = {}
        super().__init__(has_ipv6)
        self.core.run("nft", "-f", "-", stdin=f"""
table ip hops {{
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ip ttl < {CORE_HOPS} drop
  }}
}}
""")

    def __exit__(self, *_) -> None:
        for process in self._links.values():
            process.stdin.close()
            process.wait()
        super().__exit__()

    def wire(self, one: Node, one_name: str, other: Node, other_name: str) -> None:
        """Joins two nodes, by a delay where one of them is the core."""
        if self.core not in (one, other):
            return super().wire(one, one_name, other, other_name)
        number = len(self._links)
        names = [f"far{number}a", f"far{number}b"]
        process = subprocess.Popen(
            [self._program, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self._links[one_name if one is self.core else other_name] = process
        if process.stdout.readline() != "ready\n":
            raise Unavailable(process.stderr.read().strip())
        self._tell(process, self._delay)
        for name, node, wanted in ((names[0], one, one_name), (names[1], other, other_name)):
            subprocess.run(["ip", "link", "set", name, "netns", str(node.holder.pid)], check=True)
            node.run("ip", "link", "set", name, "name", wanted)
            node.run("ip", "link", "set", wanted, "mtu", "1500", "txqueuelen", "10000", "up")

    def bring_near(self, node: Node) -> None:
        """Puts a public machine beside the core: half of `round_trip` from everybody."""
        self.tell(node.link, "delay 0ms")

    def tell(self, link: str, *lines: str) -> None:
        """Changes the link at one of the core's interfaces; see interop/README.md."""
        for line in lines:
            self._tell(self._links[link], line)

    @staticmethod
    def _tell(process: subprocess.Popen, line: str) -> None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        if answer != "ok":
            raise OSError(f"qtun-link does not take '{line}': {answer}")
