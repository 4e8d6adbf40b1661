"""What is played, and the bars."""

import json
import math
import os
import random
import statistics
import time

from crowds import initial
from crowds.answers import STATELESS, Answers
from crowds.hellos import Endless, Hellos
from crowds.stage import ADMIN, Stage, Watch
from lab.internet import Node
from meetings.floods import Catch
from meetings.result import Result

RATE = 20_000
# Of different packets; after a second they come again, under other addresses.
PACKETS = 20_000
NODES = 1_000
# They come from so many addresses, so that none has more than a relay grants it.
ADDRESSES = 32
HALF_OPEN = "qtun_handshakes"


def verdict(is_met: bool) -> str:
    return "ok" if is_met else "FAIL"


def percentile(values: list[float], part: float) -> float:
    """The smallest value that `part` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


# Idle nodes


def crowd(qtun: str, tool: str, seconds: float, carrier: str) -> list[Result]:
    """NODES shares at one relay, with nothing to do but to stay."""
    with Stage(qtun, tool, "--open") as stage:
        node = stage.net.public("peers", addresses=ADDRESSES)
        many_addresses(node, is_udp_blocked=carrier == "tcp")
        before = stage.memory()
        peers = stage.start(node, stage.crowd, "peers", stage.rendezvous, NODES, 50)
        report, used, wakes = settled(peers, stage), stage.processor(), stage.wakes()
        time.sleep(seconds)
        share = (stage.processor() - used) / seconds
        wakes = (stage.wakes() - wakes) / seconds
        losses = peers.ask()["losses"] - report["losses"]
        each = (stage.memory() - before) / NODES
        peers.end()
        what = f"{NODES} idle nodes over {carrier.upper()}"
        over = f"{report['ready']} of {NODES} there, {report['udp']} over UDP, {losses} lost the relay"
        is_whole = report["ready"] == NODES and losses == 0 and (
            report["udp"] == (NODES if carrier == "udp" else 0))
        return [
            Result(f"{what}: memory of each", "under 64 KB", verdict(is_whole and each < 62.5),
                   f"{each:.1f} KiB; {over}"),
            Result(f"{what}: processor for all", "under 1 % of a core", verdict(share < 0.01),
                   f"{share:.2%} over {seconds:.0f} s, woken {wakes:.0f} times a second"),
        ]


def settled(peers, stage: Stage) -> dict:
    """Waits until all have come, and then until the start is over for them."""
    deadline = time.monotonic() + 120
    while (report := peers.ask())["ready"] < NODES and time.monotonic() < deadline:
        time.sleep(1)
    time.sleep(20)
    return peers.ask()


def many_addresses(node: Node, is_udp_blocked: bool) -> None:
    """Flows of one machine as if from all of its addresses in turn."""
    turns = ", ".join(f"{number} : {address}" for number, address in enumerate(node.addresses))
    block = "udp dport 3478-3479 drop" if is_udp_blocked else ""
    node.run("nft", "-f", "-", stdin=f"""
table ip crowd {{
  chain output {{ type filter hook output priority 0; policy accept; {block}
  }}
  chain source {{
    type nat hook postrouting priority 100; policy accept;
    oifname "eth0" snat to numgen inc mod {len(node.addresses)} map {{ {turns} }}
  }}
}}
""")


# Floods from forged addresses


def initials(qtun: str, tool: str, seconds: float) -> list[Result]:
    """Three in four have a ClientHello that a relay would go on with; the others cannot be decrypted."""
    with Stage(qtun, tool, "--open") as stage:
        hello, scid = stage.hello()
        packets = initial.initials(hello, scid, PACKETS * 3 // 4) + initial.garbage(PACKETS // 4)
        random.Random(1).shuffle(packets)
        results, answers, watch, began = flood(stage, packets, seconds, "Initials")
        half_open = watch.counts.get(HALF_OPEN)
        late = (answers.first.get("retry", math.inf) - began) * 1000
        in_all = answers.per_second(*STATELESS)
        return results + [
            Result("Initials: half-open at most", "1,024",
                   verdict(half_open is not None and half_open <= 1024),
                   "not counted" if half_open is None else f"{half_open:.0f}"),
            Result("Initials: Retry after the flood began", "100 ms", verdict(late <= 100),
                   f"{late:.0f} ms, {answers.packets['retry']} in all"),
            Result("Initials: answers that keep no state", "1,000 a second in all",
                   verdict(in_all <= 1000), f"{in_all} in the worst second"),
        ]


def binds(qtun: str, tool: str, seconds: float) -> list[Result]:
    """Binds and path messages: of the session that is there, with wrong tags, and of none."""
    with Stage(qtun, tool, "--open") as stage:
        catch = Catch(stage.node)

        def packets() -> list[bytes]:
            caught = catch.packets(3478)
            legs = [packet for packet in caught if packet[:2] == b"\x2b\x00"]
            paths = [packet for packet in caught if packet[:2] == b"\x2a\x01"]
            return [forged(number, legs, paths) for number in range(PACKETS)]

        return flood(stage, packets, seconds, "binds")[0]


def forged(number: int, legs: list[bytes], paths: list[bytes]) -> bytes:
    """One of four kinds; the session's own numbers come from packets that were seen."""
    known = legs[number % len(legs)] if legs else os.urandom(12)
    path = paths[number % len(paths)] if paths else os.urandom(27)
    generation = (int.from_bytes(known[8:12], "big") + 1 + number % 1000) & 0xFFFFFFFF
    match number % 4:
        case 0:
            return b"\x2b\x01\x00\x00" + known[4:8] + generation.to_bytes(4, "big") + bytes(16) + os.urandom(16)
        case 1:
            return b"\x2b\x03\x00\x00" + known[4:8] + generation.to_bytes(4, "big") + os.urandom(32)
        case 2: return b"\x2b\x01\x00\x00" + os.urandom(8) + bytes(16) + os.urandom(16)
    return b"\x2a\x01\x01" + path[3:11] + os.urandom(32)


def flood(stage: Stage, packets, seconds: float, what: str):
    """Plays it beside a session that moves bytes and newcomers; results, and what was seen besides."""
    session, newcomer = stage.session(), stage.net.public("newcomer")
    attacker = stage.attacker()
    tries = stage.start(
        newcomer, stage.crowd, "tries", stage.rendezvous, max(1, int(seconds - 2)), 2)
    tries.line(30)
    time.sleep(5)
    packets = packets() if callable(packets) else packets
    size = sum(map(len, packets)) / len(packets)
    flooder = stage.flood(attacker, packets, RATE, seconds)
    usual = goodput(session, 10)
    answers, watch, used = Answers(attacker, 3478), Watch(stage), stage.processor()
    began = time.monotonic()
    flooder.tell()
    time.sleep(1)
    tries.tell()
    during = goodput(session, seconds - 2)
    count, took = (float(word) for word in flooder.finish(seconds + 30)[-1].split())
    used = (stage.processor() - used) / (time.monotonic() - began)
    runs = [json.loads(line) for line in tries.finish(60)]
    watch.close()
    answers.close()
    rate, sent = count / took, count * size
    amplified = answers.bytes / sent
    results = [
        Result(f"{what}: forged packets", f"{RATE} a second for {seconds:.0f} s",
               verdict(rate >= 0.97 * RATE),
               f"{rate:.0f} of {size:.0f} bytes; the relay used {used:.0%} of its core"),
        Result(f"{what}: memory", "64 MiB more", verdict(watch.growth <= 64),
               f"{watch.growth:+.1f} MiB at most"),
        newcomers(f"{what}: newcomers register", runs, "registered"),
        newcomers(f"{what}: newcomers connect", runs, "connected"),
        Result(f"{what}: goodput of a session", "70 % of what it was",
               verdict(0 < 0.7 * usual <= during),
               f"{during / max(usual, 1e-9):.0%} ({usual:.1f} Mbit/s before, {during:.1f} meanwhile)"),
        Result(f"{what}: bytes answered for each", "3.0", verdict(amplified <= 3),
               f"{amplified:.3f}; {', '.join(f'{n} {k}' for k, n in answers.packets.items()) or 'none'}"),
    ]
    return results, answers, watch, began


def goodput(session, seconds: float) -> float:
    """Mbit/s."""
    start = session.bytes
    time.sleep(seconds)
    return (session.bytes - start) * 8 / seconds / 1e6


def newcomers(what: str, runs: list[dict], name: str) -> Result:
    times = [run[name] for run in runs]
    there = [time / 1000 for time in times if time is not None]
    all_times = there + [math.inf] * (len(times) - len(there))
    worst = percentile(all_times, 0.99) if all_times else math.inf
    middle = statistics.median(there) if there else math.inf
    return Result(
        what, "p99 1 s", verdict(worst <= 1),
        f"{len(there)} of {len(times)}; p50 {middle:.2f} s, p99 {worst:.2f} s")


# ClientHellos that never end


def hellos(qtun: str, tool: str, seconds: float) -> list[Result]:
    """One that goes on until it is stopped, and then a thousand that stop just before."""
    with Stage(qtun, tool, "--open") as stage:
        attacker = stage.attacker(addresses=ADDRESSES)
        with attacker.inside():
            sockets = Hellos.bind(attacker.addresses)
        place = (stage.address, 3478)
        taken, code = Endless(sockets[0], place).run()
        time.sleep(2)
        watch = Watch(stage)
        crowd = Hellos(sockets, place, NODES)
        sent = crowd.send(max(1200, taken - 2400), 6.0)
        time.sleep(12)
        left = stage.metrics().get(HALF_OPEN)
        watch.close()
        half_open = watch.counts.get(HALF_OPEN)
        return [
            Result("ClientHello without end", "closed at 64 KiB",
                   verdict(code is not None and taken <= 64 * 1024),
                   f"closed after {taken} bytes with {code if code is None else hex(code)}"),
            Result(f"{NODES} of them at once, just before that", "80 MiB more",
                   verdict(watch.growth <= 80 and crowd.admitted >= 0.99 * NODES),
                   f"{watch.growth:+.1f} MiB; {crowd.admitted} were answered, {sent} bytes each at "
                   f"most, {half_open} half-open"),
            Result(f"{NODES} of them after 18 s", "gone (10 s for a handshake)",
                   verdict(left == 0), f"{left} half-open"),
        ]


# Guessers


def tokens(qtun: str, tool: str, seconds: float) -> list[Result]:
    """One address that tries tokens, 32 connections at a time: at first those that do not wait for late
    refusals, and when they have ended those that wait for their turn, and come back."""
    with Stage(qtun, tool) as stage:
        attacker = stage.attacker()
        hasty, shown = looked_at(stage, attacker, "guesses", seconds / 2)
        patient, shown_then = looked_at(stage, attacker, "waits", seconds)
        began = hasty[0][0]
        first = max(count for when, count in hasty if when <= began + 1.6) - hasty[0][1]
        leaving, staying = rate(hasty, 6), rate(patient, 6)
        return [
            Result("wrong tokens of one address: at first", "20 at most, and 5 a second",
                   verdict(first <= 20 + 5 * 1.6), f"{first:.0f} looked at within 1.5 s"),
            Result("wrong tokens of those that leave at once: later", "5 a second",
                   verdict(leaving <= 5.05),
                   f"{leaving:.1f} a second looked at, of {shown / (seconds / 2):.0f} shown"),
            # Fewer would be places that nobody has, and an honest node's turn that never comes.
            Result("wrong tokens of those that wait: later", "5 a second",
                   verdict(4.5 <= staying <= 5.05),
                   f"{staying:.1f} a second looked at, of {shown_then / seconds:.0f} shown, over "
                   f"{patient[-1][0] - patient[0][0] - 6:.0f} s"),
        ]


def looked_at(stage: Stage, attacker: Node, what: str, seconds: float):
    """How many wrong tokens the relay has looked at, twice a second, and how many were shown to it."""
    def count() -> tuple[float, float]:
        return time.monotonic(), stage.metrics().get('qtun_tokens_total{result="bad"}', 0)

    counts = [count()]
    guesses = stage.start(attacker, stage.crowd, what, stage.rendezvous, int(seconds), 32)
    end = counts[0][0] + seconds
    while guesses.process.poll() is None:
        time.sleep(0.5)
        # Those that began before the end may wait for a while after it.
        if time.monotonic() < end:
            counts.append(count())
    return counts, json.loads(guesses.finish(10)[-1])["shown"]


def rate(counts: list[tuple[float, float]], after: float) -> float:
    """A second, from so many seconds after the start."""
    later = [entry for entry in counts if entry[0] >= counts[0][0] + after] or counts
    return (later[-1][1] - later[0][1]) / max(0.001, later[-1][0] - later[0][0])
