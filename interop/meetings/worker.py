"""A laboratory in a process and a network namespace of its own: tasks come in, results go out.

Started by run-nat-matrix and run-relay-bars; ends with its standard input, or with the process that started it.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bars import blackhole, fairness, handover, survival  # noqa: E402
from lab import bad_link, internet  # noqa: E402
from meetings import cells, floods, rebinding, scenarios  # noqa: E402
from meetings.result import Result, Task  # noqa: E402

SCENARIOS = {
    "cell": cells.cell, "skew": scenarios.skew, "gateways": scenarios.gateways,
    "search": scenarios.search, "neighbours": scenarios.neighbours, "lan": scenarios.lan,
    "ipv6": scenarios.ipv6, "useless": scenarios.useless, "bursts": scenarios.bursts,
    "rebinding": rebinding.rebinding, "flood-peer": floods.peer, "flood-relay": floods.relay,
    "stun": scenarios.stun, "netpunch": scenarios.netpunch, "vectors": scenarios.vectors,
    "handover": handover.loaded, "idle": handover.idle, "blackhole": blackhole.blackhole,
    "survival": survival.survival, "fairness": fairness.fairness,
}


def perform(qtun: str, task: Task) -> Result:
    what = f"{task.scenario} {task.routers}"
    try:
        return SCENARIOS[task.scenario](qtun, task)
    except (internet.Unavailable, bad_link.Unavailable) as error:
        return Result(what, "", "skip", str(error), cell="skip")
    except Exception as error:  # noqa: BLE001: one laboratory that breaks must not end the others
        return Result(what, "", "FAIL", f"the laboratory broke: {error!r}", cell="broke")


def interrupt(*_) -> None:
    # Cleaning up happens while the exception travels.
    raise KeyboardInterrupt


def main() -> None:
    # Ctrl-C reaches the whole group; who started us decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    # Said again, for a user namespace may have made the system forget it.
    internet.die_with_parent(signal.SIGTERM)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        for line in sys.stdin:
            result = perform(sys.argv[1], Task(**json.loads(line)))
            print(json.dumps(dataclasses.asdict(result)), flush=True)
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()
