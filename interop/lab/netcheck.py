"""What `qtun netcheck` says behind each kind of router, beside what is true.

    unshare -Urn python3 interop/lab/netcheck.py .build/debug/qtun

Each router is measured against a STUN server with two addresses and two ports. Then: a machine without a
router, two servers that know nothing of each other, and routers that map ports on request (miniupnpd where it
is installed) by each protocol.
"""

import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from lab.internet import Internet, Node, Router, Unavailable  # noqa: E402
from lab.nat import KINDS  # noqa: E402

SERVER = HERE.parent / "peers" / "stun_server.py"
MAPPINGS = {
    "EIM": "endpoint-independent", "ADM": "address-dependent", "ADPM": "address-and-port-dependent"}
FILTERINGS = {
    "EIF": "endpoint-independent", "ADF": "address-dependent", "APDF": "address-and-port-dependent"}
# Of a peer behind a home router, and of one whose ports are random (PunchStrategy).
HOME = {"A": "yes", "B": "yes", "C": "yes", "D": "yes", "E": "yes", "F": "likely", "G": "likely",
        "H": "likely", "I": "no", "J": "yes", "K": "yes", "L": "likely"}
RANDOM = {"A": "yes", "B": "yes", "C": "likely", "D": "likely", "E": "likely", "F": "no", "G": "no",
          "H": "no", "I": "no", "J": "likely", "K": "yes", "L": "likely"}
BAR = 3.5
# miniupnpd serves nobody unless its outside address looks public, which the laboratory's do not.
OUTSIDE = "11.0.0.1"


class Lab:
    """The internet, a server, and the program."""

    def __init__(self, net: Internet, qtun: str) -> None:
        self.net, self.qtun = net, qtun
        self.failed = self.passed = self.skipped = 0
        self.server = self.serve(net.public("server", addresses=2), 2)

    def serve(self, node: Node, count: int) -> Node:
        process = self.net.start(
            node, [sys.executable, "-B", SERVER, *node.addresses[:count]], stdout=subprocess.PIPE,
            text=True)
        if process.stdout.readline() != "ready\n":
            raise Unavailable("the STUN server does not start")
        return node

    def check(self, node: Node, *words: str) -> tuple[dict, int, float]:
        began = time.monotonic()
        done = subprocess.run(
            node.command([self.qtun, "netcheck", "--json", *words]), capture_output=True, text=True,
            timeout=20)
        took = time.monotonic() - began
        try:
            return json.loads(done.stdout), done.returncode, took
        except ValueError:
            return {"error": done.stderr}, done.returncode, took

    def ask(self, node: Node, *words: str) -> tuple[dict, int, float]:
        servers = [word for address in self.server.addresses for word in ("--stun", address)]
        return self.check(node, *servers, *words)

    def note(self, name: str, problems: list[str], text: str) -> None:
        self.failed += bool(problems)
        self.passed += not problems
        print(f"{'FAIL' if problems else 'ok':<4}  netcheck {name}: {text}", flush=True)
        for problem in problems:
            print(f"      {problem}", flush=True)

    def skip(self, name: str, reason: str) -> None:
        self.skipped += 1
        print(f"skip  netcheck {name}: {reason}", flush=True)


def differences(expected: dict, seen: dict) -> list[str]:
    return [
        f"{key} must be {value!r}, not {seen.get(key)!r}"
        for key, value in expected.items() if seen.get(key) != value]


def peers(report: dict) -> dict:
    return {peer["network"]: peer["direct"] for peer in report.get("peers", [])}


def all_at_once(lab: Lab, checks: list[tuple[Node, list]]) -> list[tuple[dict, int, float]]:
    """Most of the time they wait for answers that do not come."""
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        return list(threads.map(
            lambda check: lab.check(check[0], "--no-port-mapping", *check[1]), checks))


def routers(lab: Lab, reports: list[tuple[dict, int, float]]) -> None:
    for (letter, kind), (report, status, took) in zip(KINDS.items(), reports):
        blocked = kind.mapping == "blocked"
        seen = dict(report.get("ipv4", {}), udp=report.get("udp"), status=status, **{
            f"to {peer}": direct for peer, direct in peers(report).items()})
        expected = {
            "udp": not blocked, "status": 5 if blocked else 0,
            "mapping": MAPPINGS.get(kind.mapping), "filtering": FILTERINGS.get(kind.filtering),
            "to home": HOME[letter], "to random": RANDOM[letter]}
        problems = differences(expected, seen)
        if took > BAR:
            problems.append(f"took {took:.1f} s")
        lab.note(
            f"router {letter} ({kind.title})", problems,
            f"{kind.mapping} + {kind.filtering} expected; {seen.get('mapping')} + "
            f"{seen.get('filtering')} reported, home {seen.get('to home')}, random "
            f"{seen.get('to random')}, {took:.1f} s")


def without_gateways(lab: Lab) -> None:
    """Every kind of router, and what else there is."""
    singles = [lab.serve(lab.net.public(f"single{number}"), 1) for number in (1, 2)]
    two = [word for node in singles for word in ("--stun", f"{node.addresses[0]}:3478")]
    silent = lab.net.public("silent")
    three = ["--stun", silent.addresses[0], "--stun", "no-such-host.invalid",
             "--stun", lab.server.addresses[0]]
    own = [word for address in lab.server.addresses for word in ("--stun", address)]
    checks = [(lab.net.host(lab.net.router(letter)), own) for letter in KINDS]
    checks.append((lab.net.public("plain"), own))
    checks += [(lab.net.host(lab.net.router(letter)), words) for letter, words in (
        ("D", two), ("F", two), ("D", three), ("D", []))]
    reports = all_at_once(lab, checks)
    routers(lab, reports)
    plain, one_port, many_ports, one_server, nobody = reports[len(KINDS):]

    report, _, took = plain
    expected = {"mapping": "none", "filtering": "endpoint-independent"}
    lab.note("without a router", differences(expected, report.get("ipv4", {})), f"{took:.1f} s")
    for letter, mapping, (report, _, took) in (("D", "EIM", one_port), ("F", "ADPM", many_ports)):
        expected = {"mapping": MAPPINGS[mapping], "filtering": None}
        lab.note(f"router {letter}, two servers with one address each",
                 differences(expected, report.get("ipv4", {})), f"{took:.1f} s")
    report, status, took = nobody
    lab.note("with nobody to ask",
             differences({"udp": None, "status": 0}, dict(report, status=status))
             + (["took too long"] if took > 1 else []), f"{took:.1f} s")
    report, status, took = one_server
    answers = [server["mapped"] is not None for server in report.get("servers", [])]
    lab.note("one server of three answers",
             differences({"udp": True, "status": 0}, dict(report, status=status))
             + ([] if sorted(answers) == [False, False, True] else [f"servers: {report}"])
             + (["took too long"] if took > BAR else []), f"{took:.1f} s")


class Gateway:
    """miniupnpd on a router."""

    def __init__(self, lab: Lab, router: Router, folder: pathlib.Path, upnp: bool, pcp: bool) -> None:
        self.router = router
        name = f"{router.network}-{upnp}-{pcp}"
        path = folder / name
        path.write_text(
            "ext_ifname=wan\n"
            f"ext_ip={OUTSIDE}\n"
            "listening_ip=brl\n"
            f"enable_upnp={'yes' if upnp else 'no'}\n"
            f"enable_natpmp={'yes' if pcp else 'no'}\n"
            "http_port=5000\n"
            "secure_mode=yes\n"
            f"lease_file={folder / name}.leases\n"
            "uuid=2fb4c6a2-3f1b-4d0e-9d0f-1d0c5a5f0f01\n"
            "allow 1024-65535 192.168.0.0/16 1024-65535\n"
            "deny 0-65535 0.0.0.0/0 0-65535\n")
        # miniupnpd keeps its rules in chains that somebody else has to make.
        router.inner.run("nft", "-f", "-", stdin=MINIUPNPD_CHAINS)
        self.process = lab.net.start(
            router.inner, ["miniupnpd", "-d", "-f", path, "-P", f"{path}.pid"],
            stdout=subprocess.DEVNULL, stderr=open(folder / f"{name}.log", "wb"))
        self.log = folder / f"{name}.log"

    def forwarded(self) -> int:
        return self.router.inner.run("nft", "list", "ruleset").count("dnat")


MINIUPNPD_CHAINS = """
table inet filter {
  chain forward {
    type filter hook forward priority 10; policy accept;
    jump miniupnpd
  }
  chain miniupnpd {
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    jump prerouting_miniupnpd
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    jump postrouting_miniupnpd
  }
  chain postrouting_miniupnpd {
  }
}
"""


def gateways(lab: Lab) -> None:
    if shutil.which("miniupnpd") is None:
        return lab.skip("port mapping", "miniupnpd is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for name, upnp, pcp in (("PCP", False, True), ("UPnP", True, False)):
            router = lab.net.router("D")
            gateway = Gateway(lab, router, pathlib.Path(folder), upnp, pcp)
            host = lab.net.host(router)
            time.sleep(1.0)
            before = gateway.forwarded()
            # The port is open for milliseconds only, too short to be seen from here: the address that
            # miniupnpd reports is the proof that it was.
            report, _, took = lab.ask(host)
            seen = report.get("port_mapping", {})
            # It is not the address that the servers see, so there must be another NAT.
            problems = differences({"protocol": name, "behind_another_nat": True}, seen)
            if not str(seen.get("address")).startswith(OUTSIDE + ":"):
                problems.append(f"address {seen.get('address')}")
            if gateway.process.poll() is not None:
                problems.append(f"miniupnpd ended: {gateway.log.read_text()[-500:]}")
            if gateway.forwarded() != before:
                problems.append("the port was not given back")
            if took > BAR:
                problems.append(f"took {took:.1f} s")
            lab.note(f"router with {name}", problems, f"{seen.get('address')}, {took:.1f} s")


def main() -> int:
    try:
        with Internet() as net:
            lab = Lab(net, sys.argv[1])
            without_gateways(lab)
            gateways(lab)
    except Unavailable as error:
        print(f"skip  netcheck  no network of our own here ({error})")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    print(f"{lab.passed} passed, {lab.failed} failed, {lab.skipped} skipped")
    return 1 if lab.failed else 0


if __name__ == "__main__":
    sys.exit(main())
