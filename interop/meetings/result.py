"""What a task found out, and the words for it."""

import dataclasses
import statistics
from collections.abc import Callable

from meetings.pair import Run


@dataclasses.dataclass
class Task:
    """One thing to do in a laboratory of its own; travels as JSON."""

    scenario: str
    # Routers of the sharing and of the connecting side, as letters of lab/nat.py.
    routers: str = "DD"
    # Seconds between the two starts.
    skew: float = 0.1
    runs: int = 1
    # Whether seconds count, or only what comes about.
    is_timed: bool = True
    round_trip: float = 0.040
    # Of what is drawn by lot.
    seed: int = 1


@dataclasses.dataclass
class Result:
    """How it went."""

    what: str
    bar: str
    # ok, FAIL or skip
    status: str
    figures: str
    # For the table of cells, shorter.
    cell: str = ""
    # Logs of what went wrong.
    detail: str = ""
    # What was measured, where several laboratories play one scenario.
    samples: list[dict] = dataclasses.field(default_factory=list)


def seconds(times: list[float]) -> str:
    """Median and worst, in seconds."""
    return f"{statistics.median(times):.2f} / {max(times):.2f}" if times else "-"


def judge(
    what: str, bar: str, runs: list[Run], is_good: Callable[[Run], bool], times: list[float],
    needed: int | None = None, name: str = "direct",
) -> Result:
    """A result for runs of which `needed` (all, if it is not said) must be good."""
    good = [run for run in runs if is_good(run)]
    direct = sum(run.is_direct for run in runs)
    is_met = len(good) >= (len(runs) if needed is None else needed)
    count = direct if name == "direct" else len(good)
    figures = f"{count} of {len(runs)} {name}, {seconds(times)} s"
    if name == "direct" and len(good) < direct:
        figures += f", {direct - len(good)} of them too late"
    return Result(
        what, bar, "ok" if is_met else "FAIL", figures,
        detail="" if len(good) == len(runs) else worst(runs, is_good))


def worst(runs: list[Run], is_good: Callable[[Run], bool]) -> str:
    """The first run that was not good, with its logs."""
    run = next(run for run in runs if not is_good(run))
    facts = ", ".join(
        f"{field.name} {getattr(run, field.name)}" for field in dataclasses.fields(run)
        if field.name != "log")
    return f"{facts}\n{run.log}"
