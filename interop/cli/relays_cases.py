"""Several relays of one session: which carries, and what becomes of it when that one restarts."""

import json
import signal
import time

from cli.group import Group
from cli.sockets import dial, echo, receive_exactly
from cli.stage import Stage, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("relays")


def _relays(stage: Stage, count: int) -> dict[str, Process]:
    """Relays with a key each, by their names."""
    relays = {}
    for number in range(count):
        process = stage.start(
            "relay", "--listen", "127.0.0.1:0", "--open", "--drain", "10s", "--identity",
            stage.workspace.path / f"relay-{number}")
        relays[first_line(process)] = process
    return relays


def _seen(stage: Stage, role: str) -> dict[str, str]:
    """What a run says of its relays, by their addresses."""
    answers = [json.loads(line) for line in stage.run("status", "--json").output().splitlines()]
    answer = next(answer for answer in answers if answer["role"] == role)
    return {relay["address"]: relay["state"] for relay in answer["relays"]}


@GROUP.case("relays-restart", seconds=60)
def _restart(stage: Stage) -> None:
    """A relay that is told to stop is left while it still forwards, and need not wait for that."""
    relays = _relays(stage, 2)
    names = [word for name in relays for word in ["--rendezvous", name]]
    share = stage.start(
        "share", stage.service(echo).port, "--listen", "127.0.0.1:0", "--no-addresses", *names)
    connect = stage.connect(first_line(share), "--carrier", "relay")
    with dial(connect.port) as client:
        client.settimeout(10)
        client.sendall(b"a")
        receive_exactly(client, 1)
        deadline = time.monotonic() + 10
        while sorted(_seen(stage, "connect").values()) != ["carries", "warm"]:
            require(time.monotonic() < deadline, f"relays: {_seen(stage, 'connect')}")
            time.sleep(0.1)
        require(set(_seen(stage, "share").values()) == {"registered"}, f"{_seen(stage, 'share')}")
        used = next(a for a, state in _seen(stage, "connect").items() if state == "carries")
        require_text(stage.run("status").output(), f"relay  {used}  carries")
        first = next(process for name, process in relays.items() if name.endswith(used))
        began = time.monotonic()
        first.send(signal.SIGTERM)
        longest = 0.0
        while first.is_running:
            sent = time.monotonic()
            client.sendall(b"b")
            receive_exactly(client, 1)
            longest = max(longest, time.monotonic() - sent)
            require(time.monotonic() - began < 8, "the relay waits although nothing crosses it")
            time.sleep(0.01)
        require(first.status == 0, f"the relay ended with {first.status}")
        client.sendall(b"c")
        require(receive_exactly(client, 1) == b"c", "the session is lost")
        require_line(connect.process, "moved .*about to stop")
        print(f"  longest answer {longest * 1000:.0f} ms, relay gone after {time.monotonic() - began:.1f} s")
        require(longest < 0.9, f"an answer took {longest:.2f} s: it was found by silence")
