"""A direct path that swallows everything from one moment on, under load."""

import random
import time

from bars.figures import percentile, spread
from bars.handover import LINE
from bars.streams import SILENT, LoadedPair, damage
from lab.internet import Node, Router
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

BAR = 1.0
# For how long the session is direct before, drawn by lot.
BEFORE = (0.5, 4.0)
AFTER = 2.5
# Who sends, drawn by lot as well: rates of the share's and of the link's end.
LOADS = {"both ways": (0, 0), "from the share": (0, SILENT), "from the link": (SILENT, 0)}


def blackhole(qtun: str, task: Task) -> Result:
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
            sample = {
                "seed": chance.randrange(1 << 30), "load": chance.choice(list(LOADS)),
                "before": chance.uniform(*BEFORE), "time": None, "problem": ""}
            _play(stage, number, routers, share, link, sample)
            samples.append(sample)
    return judge([Result("", "", "", "", samples=samples)])


def _play(
    stage: Stage, number: int, routers: list[Router], share: Node, link: Node, sample: dict,
) -> None:
    run = LoadedPair(stage, number, share, link, sample["seed"], rates=LOADS[sample["load"]])
    try:
        run.start()
        if not run.wait_for(lambda event: event.is_direct, PATIENCE):
            raise OSError("no direct path")
        time.sleep(sample["before"])
        began = time.time()
        swallow(stage, *(router.address for router in routers))
        time.sleep(AFTER)
        moves = [event for event in run.pair.link.events()
                 if event.message == "moved" and event.time >= began]
        flows = run.finish()
        sample["problem"] = damage(*flows)
        if not moves or "relay" not in moves[0].fields.get("path", ""):
            sample["problem"] = "it does not move to the relay"
            return
        sample["moved"] = moves[0].time - began
        waits = [_waits(flow.gaps, began, moves[0].time) for flow, rate in zip(
            flows, reversed(LOADS[sample["load"]])) if rate != SILENT]
        sample["time"] = max(first for first, _ in waits)
        sample["then"] = max(then for _, then in waits)
        sample["gaps"] = [[
            (round(begin - began, 3), round(end - began, 3)) for begin, end in flow.gaps
            if began < end < began + AFTER and end - begin > 0.05] for flow in flows]
    except OSError as error:
        sample["problem"] = sample["problem"] or repr(error)
    finally:
        stage.net.core.run("nft", "-f", "-", stdin="table ip swallow\ndelete table ip swallow\n")
        sample["log"] = run.pair.log
        run.end()


def _waits(gaps: list[tuple[float, float]], began: float, moved: float) -> tuple[float, float]:
    """When new bytes came, which were not on their way before, and the longest wait from then on."""
    end = max(
        ((end - begin, end) for begin, end in gaps if end > began and begin <= moved), default=(0.0, began))[1]
    later = [until - since for since, until in gaps if end <= since and until <= began + AFTER]
    return end - began, max(later, default=0.0)


def swallow(stage: Stage, one: str, other: str) -> None:
    """Nothing passes between two addresses any more, and nobody is told."""
    stage.net.core.run("nft", "-f", "-", stdin=f"""
table ip swallow {{
  chain forward {{
    type filter hook forward priority -1; policy accept;
    ip saddr {one} ip daddr {other} drop
    ip saddr {other} ip daddr {one} drop
  }}
}}
""")


def judge(parts: list[Result]) -> Result:
    samples = [sample for part in parts for sample in part.samples]
    times = [sample["time"] for sample in samples if sample["time"] is not None]
    problems = [sample for sample in samples if sample["problem"] or sample["time"] is None]
    is_met = bool(times) and not problems and percentile(times, 95) <= BAR
    moved = [sample["moved"] for sample in samples if "moved" in sample]
    then = [sample["then"] for sample in samples if "then" in sample]
    late = sum(time > BAR for time in times)
    bad = problems or [sample for sample in samples if sample["time"] > BAR] or samples[-1:]
    return Result(
        "direct path blackholed under load", f"data flows over the relay within {BAR:g} s, p95",
        "ok" if is_met else "FAIL",
        f"new bytes, in each direction that is used, after {spread(times)} in {len(times)} of {len(samples)} runs, "
        f"{late} of them too late; moved after {spread(moved)}; longest wait from then on {spread(then)}; "
        f"{len(problems)} runs with lost, repeated or wrong bytes or elsewhere than on the relay",
        samples=samples, detail="\n".join(
            f"seed {s['seed']}, {s['load']}, direct for {s['before']:.2f} s: {s['problem']} {s['time']}, "
            f"gaps {s.get('gaps')}\n{s['log']}" for s in bad[:4]))
