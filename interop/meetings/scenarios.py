"""The bars beside the matrix: each is a function from a task to a result."""

import contextlib
import dataclasses
import os
import pty
import select
import shutil
import subprocess
import time

from lab.bad_link import REPOSITORY
from lab.internet import Node, die_with_parent
from lab.nat import KINDS
from meetings.pair import Pair, Run
from meetings.result import Result, Task, judge
from meetings.stage import Stage


def within(task: Task, bar: float):
    """A test of runs: direct, and in time where times count."""
    return lambda run: run.is_direct and (not task.is_timed or run.direct <= bar)


def times(runs: list[Run]) -> list[float]:
    return [run.direct for run in runs if run.is_direct]


def skew(qtun: str, task: Task) -> Result:
    """Two home networks; either side is the later one, half of the time each."""
    bar = 0.5
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        _, share, link = stage.homes(task.routers)
        pairs = [
            Pair(stage, number, share, link, first="link" if number % 2 else "share")
            for number in range(task.runs)]
        runs = stage.meet(pairs, task.skew)
    return judge(
        f"home routers, the second side starts {task.skew:g} s later", f"{bar} s", runs,
        within(task, bar), times(runs))


def gateways(qtun: str, task: Task) -> Result:
    """Linux gateways that drop nothing, which change a port that was knocked at."""
    bar = 1.0
    runs: list[Run] = []
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        routers, share, link = stage.homes("EE")
        for number in range(task.runs):
            for router in routers:
                router.restart()
            runs += stage.meet([Pair(stage, number, share, link)], task.skew)
    return judge(
        "`masquerade` with open INPUT on both sides", f"{bar:g} s", runs, within(task, bar),
        times(runs))


def search(qtun: str, task: Task) -> Result:
    """Random ports on one side, a filter for ports on the other; the clock starts with the plan."""
    bar = 3.0
    runs: list[Run] = []
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        routers, share, link = stage.homes(task.routers)
        for number in range(task.runs):
            for router in routers:
                router.restart()
            runs += stage.meet([Pair(stage, number, share, link)], task.skew)
    titles = " x ".join(KINDS[letter].title for letter in task.routers)
    found = [run.searched for run in runs if run.is_direct and run.searched is not None]
    return judge(
        titles, f"{bar:g} s from the plan, 98 %", runs,
        lambda run: run.is_direct and (not task.is_timed or (run.searched or 0) <= bar), found,
        needed=(len(runs) * 98 + 99) // 100 if task.is_timed else None)


def neighbours(qtun: str, task: Task) -> Result:
    """Both behind one router that sends nothing back inside."""
    bar = 0.3
    letter = task.routers[0]
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        router = stage.net.router(letter)
        share, link = stage.net.host(router), stage.net.host(router)
        runs = stage.meet(
            [Pair(stage, number, share, link) for number in range(task.runs)], task.skew)
    return judge(
        f"same NAT without hairpin ({KINDS[letter].title})", f"{bar} s", runs, within(task, bar),
        times(runs))


def lan(qtun: str, task: Task) -> Result:
    """Both, and the relay, in one local network."""
    bar = 0.3
    with Stage(qtun, task.round_trip) as stage:
        router = stage.net.router("D")
        share, link, relay, vantage = (stage.net.host(router) for _ in range(4))
        stage.serve(relay, vantage)
        runs = stage.meet(
            [Pair(stage, number, share, link) for number in range(task.runs)], task.skew)
    return judge("same LAN", f"{bar} s", runs, within(task, bar), times(runs))


def ipv6(qtun: str, task: Task) -> Result:
    """IPv6 behind firewalls on both sides; IPv4 would need the relay for ever."""
    bar = 0.3
    with Stage(qtun, task.round_trip, has_ipv6=True) as stage:
        stage.serve()
        _, share, link = stage.homes("FF")
        runs = stage.meet(
            [Pair(stage, number, share, link) for number in range(task.runs)], task.skew)
    return judge(
        "both IPv6, behind firewalls (IPv4 hopeless)", f"{bar} s", runs, within(task, bar),
        times(runs))


def useless(qtun: str, task: Task) -> Result:
    """32 more addresses on each side that lead nowhere, half of them public."""
    bar = 2.0
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        _, share, link = stage.homes(task.routers)
        for side, node in enumerate((share, link)):
            node.run("ip", "link", "add", "none0", "type", "veth", "peer", "name", "none1")
            for name in ("none0", "none1"):
                node.run("ip", "link", "set", name, "up")
            for number in range(16):
                for network in (f"10.{side}.{number}", f"{50 + side}.1.{number}"):
                    node.run("ip", "address", "add", f"{network}.5/24", "dev", "none0")
        runs = stage.meet(
            [Pair(stage, number, share, link) for number in range(task.runs)], task.skew)
    return judge(
        "32 useless interface addresses on each side", f"{bar:g} s", runs, within(task, bar),
        times(runs))


def bursts(qtun: str, task: Task) -> Result:
    """All that one side sends and receives, to the relay too, passes a link that loses in bursts."""
    bar = 15.0
    runs: list[Run] = []
    with Stage(qtun, 0.450) as stage:
        stage.serve()
        routers, share, link = stage.homes(task.routers)
        for number in range(task.runs):
            for router in routers:
                router.restart()
            # Every run begins with other packets lost.
            stage.net.tell(routers[1].link, "loss 12% burst 25")
            runs += stage.meet([Pair(stage, number, share, link)], task.skew, patience=40)
    # A path that has just lost 25 packets in a row may be left for the relay for a while.
    runs = [dataclasses.replace(run, relayed=0) for run in runs]
    return judge(
        "450 ms round trip, 12 % lost in bursts of 25", f"{bar:g} s, 9 of 10", runs,
        within(task, bar), times(runs), needed=len(runs) * 9 // 10)


def stun(qtun: str, task: Task) -> Result:
    """coturn's client, from behind a router that has one outside port only."""
    what, bar = "turnutils_stunclient asks the relay", "the right address"
    if shutil.which("turnutils_stunclient") is None:
        return Result(what, bar, "skip", "not installed (Debian: coturn)")
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        router = stage.net.router("D")
        host = stage.net.host(router)
        wanted = f"{router.address}:45678"
        node, rules = router.translators[-1]
        node.run("nft", "-f", "-", stdin="flush ruleset\n" + rules.replace(
            "masquerade", f"meta l4proto udp snat to {wanted}"))
        address = stage.relay.addresses[0]
        port = stage.rendezvous[0].rpartition(":")[2]
        text = converse(stage, host, [
            "turnutils_stunclient", "-p", port if port.isdigit() else "3478", address])
    line = next((line for line in text.splitlines() if "reflexive" in line), "it told none")
    is_right = line.endswith(f" {wanted}")
    return Result(what, bar, "ok" if is_right else "FAIL", wanted if is_right else line, detail=text)


def converse(stage: Stage, host: Node, words: list[str]) -> str:
    """What it prints until it names an address; then it waits for an answer at another port of its own."""
    ours, its = pty.openpty()
    process = stage.net.start(host, words, stdin=its, stdout=its, stderr=its)
    os.close(its)
    text, deadline = "", time.monotonic() + 10
    while "reflexive" not in text or not text.endswith("\n"):
        if not select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            break
        try:
            text += os.read(ours, 4096).decode(errors="replace").replace("\r", "")
        except OSError:
            break
    process.kill()
    os.close(ours)
    return text


def netpunch(qtun: str, task: Task) -> Result:
    """`qtun punch` against an emulator of netpunch, in a laboratory of its own."""
    return _script("netpunch's wire, both roles; forged packets at both", "0.5 to 1.1 s", [
        "python3", "-B", "interop/lab/netpunch.py", qtun])


def vectors(qtun: str, task: Task) -> Result:
    """The command line cases of `qtun punch`, with the seven golden vectors."""
    return _script("golden vectors and the command line of `qtun punch`", "all", [
        "interop/run-cli-tests", "--qtun", qtun, "punch"])


def _script(what: str, bar: str, words: list[str]) -> Result:
    """Takes the last line of another laboratory for its figures."""
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=die_with_parent)
        stack.callback(process.wait)
        stack.callback(process.kill)
        output = process.communicate()[0]
        status = "ok" if process.returncode == 0 else "FAIL"
    lines = output.strip().splitlines() or ["nothing"]
    return Result(what, bar, status, lines[-1], detail=output)
