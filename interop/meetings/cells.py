"""One cell of the matrix: two kinds of routers, met again and again."""

from lab.nat import KINDS
from meetings.pair import Pair, Run
from meetings.result import Result, Task, judge, seconds
from meetings.stage import Stage

# For what cannot become direct: when both sides must have said so, and when there must be a session.
SAID_BAR, RELAY_BAR = 0.5, 1.0


def cell(qtun: str, task: Task) -> Result:
    """Fresh programs and fresh translators for each run."""
    one, two = (KINDS[letter] for letter in task.routers)
    meets = one.meets(two)
    runs: list[Run] = []
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        routers, share, link = stage.homes(task.routers)
        for number in range(task.runs):
            for router in routers:
                router.restart()
            runs += stage.meet(
                [Pair(stage, number, share, link)], task.skew, expects_relay=not meets)
    what = f"{one.letter} x {two.letter}: {one.title} and {two.title}"
    if meets:
        times = [run.direct for run in runs if run.is_direct]
        result = judge(what, "direct", runs, lambda run: run.is_direct, times)
        result.cell = f"{len(times)}/{len(runs)} {seconds(times)}"
        return result

    def is_good(run: Run) -> bool:
        return (
            run.direct is None and run.answered and None not in (run.refused, run.opened)
            and (not task.is_timed or run.refused <= SAID_BAR and run.opened <= RELAY_BAR))

    times = [run.refused for run in runs if run.refused is not None]
    result = judge(what, "relay, said at once", runs, is_good, times, name="said it and relayed")
    result.cell = f"relay, said at {seconds(times)}"
    return result
