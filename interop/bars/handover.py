"""From the relay to a direct path: under load, and how much an idle session sends through the relay."""

import random
import statistics
import time

from bars.capture import Capture
from bars.figures import percentile, spread
from bars.streams import LoadedPair, damage
from meetings.pair import Pair, first
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

BAR_MEDIAN_TRIPS, BAR_LATE = 4, 1.0
BAR_IDLE = 6 * 1024
# What either side's line takes; the load is more.
LINE = ("rate 50mbit", "queue 256k")
# The load goes on for so long on the direct path.
AFTER = 0.7


def loaded(qtun: str, task: Task) -> Result:
    """Fresh programs behind fresh routers each time, with a stream from the very beginning."""
    chance = random.Random(task.seed)
    samples = []
    with Stage(qtun, task.round_trip) as stage:
        stage.serve_halfway()
        routers, share, link = stage.homes(task.routers)
        for router in routers:
            stage.net.tell(router.link, *LINE)
        for number in range(task.runs):
            for router in routers:
                router.restart()
            samples.append(_loaded(stage, number, share, link, chance.randrange(1 << 30)))
    return judge_loaded([Result("", "", "", "", samples=samples)], task.round_trip)


def _loaded(stage: Stage, number: int, share, link, seed: int) -> dict:
    run = LoadedPair(stage, number, share, link, seed)
    sample = {"seed": seed, "time": None, "problem": "", "relayed": False}
    try:
        run.start()
        direct = run.wait_for(lambda event: event.is_direct, PATIENCE)
        time.sleep(AFTER)
        sample["problem"] = damage(*(flows := run.finish()))
        sample["bytes"] = sum(flow.received for flow in flows)
        opened = first(run.pair.link.events(), lambda event: event.message == "connected")
        if opened and direct:
            sample["time"] = direct.time - opened.time
            sample["relayed"] = not opened.is_direct
            sample["gap"] = max(flow.longest(opened.time) for flow in flows)
            sample["opened"] = opened.time - run.pair.began
    except OSError as error:
        sample["problem"] = sample["problem"] or repr(error)
    finally:
        sample["log"] = run.pair.log
        run.end()
    return sample


def judge_loaded(parts: list[Result], round_trip: float) -> Result:
    samples = [sample for part in parts for sample in part.samples]
    times = [sample["time"] for sample in samples if sample["time"] is not None]
    moved = [sample["time"] for sample in samples if sample["time"] is not None and sample["relayed"]]
    problems = [sample for sample in samples if sample["problem"] or sample["time"] is None]
    median, late = BAR_MEDIAN_TRIPS * round_trip, BAR_LATE
    # A session that was direct at once had no way to go, which must not make the figures better.
    is_met = bool(moved) and not problems and (
        statistics.median(moved) <= median and percentile(moved, 95) <= late)
    size = sum(sample.get("bytes", 0) for sample in samples)
    stalls = [sample["gap"] for sample in samples if "gap" in sample]
    figures = (
        f"{len(moved)} of {len(samples)} began on the relay and became direct after {spread(moved)}, "
        f"{len(times) - len(moved)} were direct at once; {size / 1e6:.0f} MB checked, "
        f"{len(problems)} runs with lost, repeated or wrong bytes or without a direct path; "
        f"longest wait for bytes {spread(stalls)}")
    bad = problems or sorted(samples, key=lambda sample: sample["time"] or 0)[-2:]
    return Result(
        "relay to direct under load, home routers",
        f"median {median * 1000:.0f} ms, p95 {late:g} s, no byte lost or repeated",
        "ok" if is_met else "FAIL", figures, samples=samples,
        detail="\n".join(f"seed {s['seed']}: {s['problem']} {s['time']}\n{s['log']}" for s in bad[:3]))


def idle(qtun: str, task: Task) -> Result:
    """What the relay forwards for a session that nobody uses until it is direct, counted at its interface."""
    samples = []
    with Stage(qtun, task.round_trip) as stage:
        stage.serve_halfway()
        routers, share, link = stage.homes(task.routers)
        for number in range(task.runs):
            for router in routers:
                router.restart()
            capture = Capture(stage.relay)
            pair = Pair(stage, number, share, link)
            try:
                pair.start(is_later=False)
                pair.start(is_later=True)
                pair.link.wait_for(lambda event: event.is_direct, time.monotonic() + PATIENCE)
                # The share follows half a round trip later.
                time.sleep(0.3)
                moves = [
                    first(program.events(), lambda event: event.is_direct or event.message == "moved"
                          and "direct" in event.fields.get("path", ""))
                    for program in (pair.link, pair.share)]
                opened = first(pair.link.events(), lambda event: event.message == "connected")
                sample = {"problem": "", "log": pair.log, "relayed": False}
                if not all(moves) or opened is None:
                    sample["problem"] = "no direct path"
                else:
                    until = max(event.time for event in moves)
                    counts = capture.forwarded_from([router.address for router in routers], until)
                    sample |= {
                        "relayed": not opened.is_direct, "share": counts[0], "link": counts[1],
                        "all": capture.total(until), "packets": capture.sizes(until)}
                samples.append(sample)
            finally:
                pair.end()
                capture.close()
    return judge_idle([Result("", "", "", "", samples=samples)])


def judge_idle(parts: list[Result]) -> Result:
    samples = [sample for part in parts for sample in part.samples]
    counted = [sample for sample in samples if not sample["problem"]]
    most = {name: max((s[name] for s in counted), default=0) for name in ("share", "link")}
    usual = {name: statistics.median([s[name] for s in counted] or [0]) for name in ("share", "link")}
    is_met = len(counted) == len(samples) and max(most.values()) <= BAR_IDLE
    worst = max(counted, key=lambda s: max(s["share"], s["link"]), default=None)
    figures = (
        f"median / most from the share {usual['share']:.0f} / {most['share']}, from the link "
        f"{usual['link']:.0f} / {most['link']} bytes with IP headers, in {len(counted)} of {len(samples)} runs "
        f"({sum(s['relayed'] for s in counted)} began on the relay)")
    detail = "\n".join(s["problem"] + s["log"] for s in samples if s["problem"])
    if worst:
        detail += f"\n{worst['packets']}\n{worst['log']}"
    return Result(
        "through the relay before direct, idle session", f"{BAR_IDLE} bytes each way",
        "ok" if is_met else "FAIL", figures, samples=samples, detail=detail)
