"""Routers that forget a flow in the middle of it."""

import select
import socket
import statistics
import time

from meetings.pair import Pair
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

MESSAGE = 64
INTERVAL = 0.005
# Before the router forgets, and after.
LEAD, TAIL = 0.3, 1.2


def rebinding(qtun: str, task: Task) -> Result:
    """A steady stream of small messages and their echoes; the gap is between two echoes."""
    bar = 2 * task.round_trip
    gaps: list[float] = []
    usual: list[float] = []
    detail = ""
    with Stage(qtun, task.round_trip) as stage:
        stage.serve()
        routers, share, link = stage.homes(task.routers)
        sides = [routers[:1], routers[1:]]
        # Two routers that give out new ports at once leave nobody to be heard by.
        if task.routers == "DD":
            sides.append(routers)
        pair = Pair(stage, 0, share, link)
        try:
            pair.start(is_later=False)
            pair.start(is_later=True)
            pair.wait(PATIENCE)
            time.sleep(0.5)
            with pair.connect() as client:
                for number in range(task.runs):
                    chosen = sides[number % len(sides)]
                    before, gap = stream(client, lambda: [r.forget_flows() for r in chosen])
                    usual.append(before)
                    gaps.append(gap)
                    time.sleep(0.5)
        except OSError as error:
            detail = f"{error!r}\n"
        finally:
            detail += f"gaps {[round(gap, 3) for gap in gaps]}\n{pair.log}"
            pair.end()
    good = sum(gap <= bar + max(usual, default=0) for gap in gaps)
    is_met = len(gaps) == task.runs and (good == task.runs or not task.is_timed)
    figures = (
        f"{good} of {task.runs}, gap median / worst {statistics.median(gaps) * 1000:.0f} / "
        f"{max(gaps) * 1000:.0f} ms (before: {max(usual) * 1000:.0f} ms)" if gaps else "no session")
    return Result(
        f"{' x '.join(task.routers)}: one router{' or both' * (task.routers == 'DD')} "
        "forgets all flows in mid-flow",
        f"{bar * 1000:.0f} ms beside the usual gap", "ok" if is_met else "FAIL", figures, detail=detail)


def stream(client: socket.socket, event) -> tuple[float, float]:
    """The longest time between two echoes before something happens, and from then on."""
    client.setblocking(False)
    begin = last = time.monotonic()
    sent, happened, before, after = 0, None, 0.0, 0.0
    while (now := time.monotonic()) - begin < LEAD + TAIL:
        if happened is None and now - begin >= LEAD:
            happened = now
            event()
        while now - begin >= sent * INTERVAL:
            client.send(b"m" * MESSAGE)
            sent += 1
        if select.select([client], [], [], INTERVAL / 2)[0]:
            if not client.recv(1 << 16):
                raise OSError("the connection ended")
            now = time.monotonic()
            if happened is None:
                before = max(before, now - last)
            else:
                after = max(after, now - last)
            last = now
    after = max(after, time.monotonic() - last)
    # The echoes of what was sent, or the next run would take them for its own.
    time.sleep(0.3)
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        pass
    return before, after
