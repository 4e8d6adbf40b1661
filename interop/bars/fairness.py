"""One bulk and nine interactive sessions through a relay whose total rate is capped."""

import random
import select
import socket
import statistics
import time

from bars.figures import percentile, spread
from bars.streams import LoadedPair, damage
from meetings.pair import Pair
from meetings.result import Result, Task
from meetings.stage import PATIENCE, Stage

WHAT = "1 bulk and 9 interactive sessions at the cap of a relay"
BAR = 0.020
INTERACTIVE = 9
MESSAGE = 64
INTERVAL = 0.05
# Of the relay's total rate, both directions together, in bytes.
CAP_WORD, CAP = "rate=20mbit", 2_500_000
ALONE, TOGETHER, SETTLE = 5.0, 12.0, 0.5


def fairness(qtun: str, task: Task) -> Result:
    """The same questions without and with the bulk session."""
    chance = random.Random(task.seed)
    alone, together = (ALONE, TOGETHER) if task.is_timed else (1.0, 2.0)
    only_relay = ("--path", "relay")
    pairs: list[Pair] = []
    samples: list[dict] = []
    try:
        with Stage(qtun, task.round_trip) as stage:
            stage.serve_halfway("--limit", CAP_WORD)
            _, share, link = stage.homes(task.routers)
            pairs = [
                Pair(stage, number, share, link, link_words=only_relay) for number in range(INTERACTIVE)]
            clients: list[socket.socket] = []
            try:
                for pair in pairs:
                    pair.start(is_later=False)
                    pair.start(is_later=True)
                for pair in pairs:
                    clients.append(pair.connect())
                ask(clients, chance, 1.0)
                for number in range(task.runs):
                    quiet = ask(clients, chance, alone)
                    bulk = LoadedPair(
                        stage, INTERACTIVE + number, share, link, chance.randrange(1 << 30),
                        link_words=only_relay)
                    pairs.append(bulk.pair)
                    bulk.start()
                    if not bulk.wait_for(lambda event: event.message == "connected", PATIENCE):
                        raise OSError("no session")
                    before = stage.relayed()
                    began = time.monotonic()
                    busy = ask(clients, chance, together)
                    passed = (stage.relayed() - before) / (time.monotonic() - began)
                    samples.append({
                        "quiet": quiet, "busy": busy, "rate": passed / 2, "damage": damage(*bulk.finish())})
                    bulk.end()
                    time.sleep(SETTLE)
            finally:
                for client in clients:
                    client.close()
                for pair in pairs:
                    pair.end()
    except OSError as error:
        return Result(WHAT, "", "FAIL", repr(error), detail="\n".join(pair.log for pair in pairs))
    return judge(samples, pairs)


def ask(clients: list[socket.socket], chance: random.Random, seconds: float) -> list[float]:
    """Each of them asks at its own times, and again when it was answered; how long that took."""
    times: list[float] = []
    began = time.monotonic()
    due = [began + chance.uniform(0, INTERVAL) for _ in clients]
    asked: dict[int, tuple[float, bytes]] = {}
    while asked or time.monotonic() - began < seconds:
        now = time.monotonic()
        for number, client in enumerate(clients):
            if number not in asked and now >= due[number] and now - began < seconds:
                message = chance.randbytes(MESSAGE)
                client.sendall(message)
                asked[number] = (time.monotonic(), message)
        waiting = [clients[number] for number in asked]
        idle = [due[number] for number in range(len(clients)) if number not in asked]
        patience = max(0.0, min([now + 1, *idle]) - now) if now - began < seconds else 1.0
        for client in select.select(waiting, [], [], patience)[0]:
            number = clients.index(client)
            sent, message = asked.pop(number)
            if client.recv(MESSAGE, socket.MSG_WAITALL) != message:
                raise OSError("a wrong answer")
            now = time.monotonic()
            times.append(now - sent)
            due[number] = max(due[number] + INTERVAL, now)
        if now - began > seconds + PATIENCE:
            raise OSError("a question is not answered")
    return times


def judge(samples: list[dict], pairs: list[Pair]) -> Result:
    quiet = [value for sample in samples for value in sample["quiet"]]
    busy = [value for sample in samples for value in sample["busy"]]
    rises = {part: percentile(busy, part) - percentile(quiet, part) for part in (50, 95, 99)}
    rate = statistics.mean(sample["rate"] for sample in samples)
    problems = [sample["damage"] for sample in samples if sample["damage"]]
    if rate < 0.9 * CAP:
        problems.append("the cap was not reached")
    if rises[99] > BAR:
        problems.append("too slow")
    rise = " / ".join(f"{value * 1000:+.1f}" for value in rises.values())
    return Result(
        WHAT, f"interactive round trip rises by {BAR * 1000:.0f} ms at most", "FAIL" if problems else "ok",
        f"{rise} ms (median / p95 / p99 of {len(busy)} questions: {spread(quiet)} alone, {spread(busy)} "
        f"beside the bulk, with worst); {rate * 8 / 1e6:.1f} Mbit/s through the relay, cap {CAP * 8 / 1e6:.0f}"
        + (f"; {problems[0]}" if problems else ""),
        detail="\n".join([*problems, *(pair.log for pair in pairs)]))
