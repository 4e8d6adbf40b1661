"""`qtun ping` and `qtun netcheck` on loopback; interop/lab/netcheck.py has the routers."""

import json
import signal
import subprocess
import sys
import time

from cli.group import Group
from cli.sockets import echo
from cli.stage import Stage, end, require_text
from harness.suite import require

GROUP = Group("network")


def _objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@GROUP.case("ping")
def _ping(stage: Stage) -> None:
    """Each answer names the road and the time; the sum counts them; no address is opened."""
    ticket = stage.share(stage.service(echo).port).ticket
    done = stage.run("ping", ticket, "-c", "2", "--json")
    first, second, summary = _objects(done.output())
    for number, answer in enumerate((first, second), 1):
        require(
            (answer["event"], answer["number"], answer["road"]) == ("answer", number, "direct"),
            f"answer: {answer}")
        require(0 < answer["rtt_us"] < 1_000_000, f"time: {answer}")
    require((summary["sent"], summary["answered"]) == (2, 2), f"summary: {summary}")
    plain = stage.run("ping", ticket, "-c", "1").output().splitlines()
    require(plain[0].startswith("1 direct 127.0.0.1:") and plain[1].startswith("1 sent, 1 answered"),
            f"output: {plain}")


@GROUP.case("ping-until-direct")
def _until_direct(stage: Stage) -> None:
    """It ends at once over UDP, and with its own status where the session may only take TCP."""
    ticket = stage.share(stage.service(echo).port).ticket
    done = stage.run("ping", ticket, "--until-direct", "--json")
    require([line["event"] for line in _objects(done.output())] == ["answer", "summary"],
            f"output: {done.output()}")
    failed = stage.run("ping", ticket, "--until-direct", "--carrier", "tcp", "-c", "1", status=10)
    require_text(failed.output(), "1 tcp 127.0.0.1:")


@GROUP.case("ping-end")
def _ping_end(stage: Stage) -> None:
    """Ctrl-C prints the sum; a share that ends is told apart from silence."""
    share = stage.share(stage.service(echo).port)
    ping = stage.start("ping", share.ticket)
    require(ping.wait_for(lambda: ping.output().count("\n") >= 2), "no answers")
    require(end(ping, signal.SIGINT) == 0, f"ended with {ping.status}: {ping.errors()}")
    require_text(ping.output().splitlines()[-1], "sent", "answered", "0 % lost")
    ping = stage.start("ping", share.ticket)
    require(ping.wait_for(lambda: ping.output().count("\n") >= 1), "no answer")
    require(end(share.process, signal.SIGTERM) == 0, "the share does not end well")
    require(ping.wait(20) not in (0, None), f"ended with {ping.status}")
    require_text(ping.output().splitlines()[-1], "sent")
    require_text(ping.errors(), "fix: ")


@GROUP.case("netcheck-alone")
def _alone(stage: Stage) -> None:
    """Without a server nobody is asked, nothing is claimed, and it ends at once."""
    began = time.monotonic()
    (report,) = _objects(stage.run("netcheck", "--json", "--no-port-mapping").output())
    require(time.monotonic() - began < 2, "it waits for nothing")
    require(report["udp"] is None and report["ipv4"]["reflexive"] == [], f"report: {report}")
    require("--stun" in report["advice"][0], f"advice: {report['advice']}")


@GROUP.case("netcheck-servers")
def _servers(stage: Stage) -> None:
    """One server that answers and one that does not; then none, which has a status of its own."""
    script = stage.tools.interop / "peers" / "stun_server.py"
    server = subprocess.Popen(
        [sys.executable, "-B", script, "127.0.0.1"], stdout=subprocess.PIPE, text=True)
    try:
        require(server.stdout.readline() == "ready\n", "no STUN server")
        done = stage.run(
            "netcheck", "--json", "--no-port-mapping", "--stun", "127.0.0.1", "--stun", "127.0.0.1:9")
        (report,) = _objects(done.output())
        seen = {server["name"]: server["mapped"] for server in report["servers"]}
        require(seen["127.0.0.1:9"] is None, f"servers: {seen}")
        require(report["udp"] and report["ipv4"]["reflexive"] == [seen["127.0.0.1:3478"]],
                f"report: {report}")
    finally:
        server.kill()
        server.wait()
    failed = stage.run("netcheck", "--no-port-mapping", "--stun", "127.0.0.1:9", status=5)
    require_text(failed.output(), "blocked: no server answered")
