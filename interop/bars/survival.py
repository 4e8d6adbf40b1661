"""A relay that is killed while the sessions that began there are direct."""

import random
import threading
import time

from bars.figures import spread
from bars.streams import Flow, Streamer, damage
from meetings.pair import PAYLOAD, Pair
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

WHAT = "relay killed while sessions are direct"
PAIRS = 4
# A steady stream: 1 Mbit/s each way, so that a wait is not that of the machine.
RATE = 125_000
BEFORE, AFTER = 15.0, 75.0
NEW_FLOW_INTERVAL = 1.0
# A new flow takes two round trips, and what the machine takes.
NEW_FLOW_BAR = 1.0


def survival(qtun: str, task: Task) -> Result:
    """Old flows go on as before, and new ones are opened all the time."""
    chance = random.Random(task.seed)
    after = AFTER if task.is_timed else 4.0
    pairs: list[Pair] = []
    try:
        with Stage(qtun, task.round_trip) as stage:
            relay = stage.serve_halfway()
            _, share, link = stage.homes(task.routers)
            pairs = [Pair(stage, number, share, link) for number in range(PAIRS)]
            streams = []
            try:
                for pair in pairs:
                    pair.start(is_later=False)
                    pair.start(is_later=True)
                    pair.wait(PATIENCE)
                    streams.append(Streamer(stage, link, "echo", chance.randrange(1 << 30), RATE))
                    streams[-1].dial(pair.entrance)
                time.sleep(1)
                times = [time.time()]
                before, _ = new_flows(pairs, BEFORE)
                relay.process.kill()
                relay.process.wait()
                times.append(time.time())
                waits, failures = new_flows(pairs, after)
                times.append(time.time())
                for stream in streams:
                    stream.end()
                flows = [stream.report() for stream in streams]
            finally:
                for pair in pairs:
                    pair.end()
    except OSError as error:
        return Result(WHAT, "", "FAIL", repr(error), detail="\n".join(pair.log for pair in pairs))
    return judge(task, after, pairs, flows, times, before, waits, failures)


def new_flows(pairs: list[Pair], seconds: float) -> tuple[list[float], list[str]]:
    """How long each of them took, and what went wrong."""
    waits: list[float] = []
    failures: list[str] = []
    end = time.monotonic() + seconds

    def go(pair: Pair) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                if not pair.ask():
                    failures.append("a new flow did not come back")
            except OSError as error:
                failures.append(f"a new flow: {error!r}")
            waits.append(time.monotonic() - began)
            time.sleep(max(0.0, NEW_FLOW_INTERVAL - waits[-1]))

    threads = [threading.Thread(target=go, args=[pair]) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits, failures


def judge(
    task: Task, after: float, pairs: list[Pair], flows: list[Flow], times: list[float],
    before: list[float], waits: list[float], failures: list[str],
) -> Result:
    bar = 2 * task.round_trip
    usual = max(flow.longest(times[0], times[1]) for flow in flows)
    longest = max(flow.longest(times[1], times[2]) for flow in flows)
    problems = failures + [trouble for flow in flows if (trouble := damage(flow, flow))]
    if task.is_timed and longest > usual + bar:
        problems.append(f"a stream waited {longest:.2f} s")
    if task.is_timed and max(waits) > max(before) + NEW_FLOW_BAR:
        problems.append(f"a new flow took {max(waits):.2f} s")
    moves = [event.fields.get("path", "") for pair in pairs for event in pair.link.events()
             if event.message == "moved" and event.time >= times[1]]
    if moves:
        problems.append(f"moves {moves}")
    waits_seen = [
        f"stream {number}: {end - begin:.3f} s, until {end - times[1]:+.2f} s from the kill"
        for number, flow in enumerate(flows) for begin, end in flow.gaps if end - begin > bar]
    return Result(
        WHAT, f"no interruption for 60 s ({bar * 1000:.0f} ms beside the usual wait)",
        "FAIL" if problems else "ok",
        f"{len(pairs)} sessions for {after:.0f} s, {len(flows)} streams: longest wait {longest * 1000:.0f} ms "
        f"(before: {usual * 1000:.0f} ms), {sum(flow.received for flow in flows) / 1e6:.0f} MB checked; "
        f"{len(waits)} new flows with {len(PAYLOAD) >> 10} KiB and back: {spread(waits)} "
        f"(before: {spread(before)})" + (f"; {problems[0]}" if problems else ""),
        detail="\n".join([*problems, *waits_seen, *(pair.log for pair in pairs)]))
