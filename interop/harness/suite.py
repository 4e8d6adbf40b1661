"""Cases, and running them one after the other."""

import dataclasses
import signal
import tempfile
import time
import traceback
from collections.abc import Callable

from harness.workspace import Workspace


# What a shell reports for Ctrl-C.
INTERRUPTED = 130


class Failure(Exception):
    """The case did not go as it must; the text says what was seen."""


class Skip(Exception):
    """The case cannot run here; the text says why."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One test. `role` is the part that our program plays against `peer`."""

    name: str
    peer: str
    role: str
    body: Callable[[Workspace], None]

    def matches(self, words: list[str]) -> bool:
        text = f"{self.name} {self.peer} {self.role}"
        return all(word in text for word in words)


def require(condition: bool, text: str) -> None:
    """Fails the case unless `condition` holds."""
    if not condition:
        raise Failure(text)


def run(cases: list[Case], words: list[str]) -> int:
    """Runs the cases that `words` select, prints each outcome, and returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    try:
        with tempfile.TemporaryDirectory(prefix="qtun-interop-") as parent:
            for case in cases:
                if case.matches(words):
                    counts[_run_one(case, parent)] += 1
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        return INTERRUPTED
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped", flush=True)
    return 1 if counts["FAIL"] else 0


def _interrupt(*_) -> None:
    # Cleaning up happens while the exception travels, as for Ctrl-C.
    raise KeyboardInterrupt


def _run_one(case: Case, parent: str) -> str:
    started = time.monotonic()
    outcome, detail, logs = "ok", "", ""
    with Workspace(parent) as workspace:
        try:
            case.body(workspace)
        except Skip as skip:
            outcome, detail = "skip", str(skip)
        except Failure as failure:
            outcome, detail, logs = "FAIL", str(failure), workspace.logs()
        except Exception:
            # A broken peer or test must not end the run; its trace is the detail.
            outcome, detail, logs = "FAIL", traceback.format_exc(), workspace.logs()
    seconds = f"{time.monotonic() - started:.1f}"
    line = f"{outcome:<4}  {case.name:<22}  {case.peer:<10}  {case.role:<6}  {seconds:>5}"
    print(f"{line}  {detail}".rstrip() if outcome == "skip" else line, flush=True)
    if outcome == "FAIL":
        for text in (detail + "\n" + logs).splitlines():
            print(f"      {text}", flush=True)
    return outcome
