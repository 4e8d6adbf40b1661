"""Cases, and running them: one after the other, or several at a time."""

import contextlib
import dataclasses
import io
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator

from harness.crew import Crew
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
    # It judges time, memory or load, so nothing else may run beside it.
    is_alone: bool = False

    def matches(self, words: list[str]) -> bool:
        text = f"{self.name} {self.peer} {self.role}"
        return all(word in text for word in words)


def require(condition: bool, text: str) -> None:
    """Fails the case unless `condition` holds."""
    if not condition:
        raise Failure(text)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a case went; `text` is what is printed of it."""

    status: str
    text: str


def run(cases: list[Case], words: list[str], jobs: int = 1) -> int:
    """Runs the cases that `words` select, prints each outcome, and returns the exit status.

    With `jobs`, so many cases run at a time where the system allows that; those that are marked
    as alone come after the others. Outcomes are printed as they come.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = [case for case in cases if case.matches(words)]
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    try:
        with tempfile.TemporaryDirectory(prefix="qtun-interop-") as parent:
            for outcome in _outcomes(chosen, parent, min(jobs, len(chosen))):
                print(outcome.text, flush=True)
                counts[outcome.status] += 1
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        return INTERRUPTED
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped", flush=True)
    return 1 if counts["FAIL"] else 0


def _interrupt(*_) -> None:
    # Cleaning up happens while the exception travels, as for Ctrl-C.
    raise KeyboardInterrupt


def _outcomes(cases: list[Case], parent: str, jobs: int) -> Iterator[Outcome]:
    if jobs <= 1:
        yield from (_play(case, parent) for case in cases)
        return
    with Crew(lambda number, folder: _play(cases[number], folder), parent, jobs) as crew:
        reason = crew.reason_not_to_play()
        if not reason:
            together = [number for number, case in enumerate(cases) if not case.is_alone]
            alone = [number for number, case in enumerate(cases) if case.is_alone]
            for numbers, at_once in ((together, jobs), (alone, 1)):
                for number, outcome in crew.play(numbers, at_once):
                    yield outcome or _describe(cases[number], "FAIL", 0, "its worker died")
    if reason:
        print(f"one case at a time: {reason}", flush=True)
        yield from (_play(case, parent) for case in cases)


def _play(case: Case, parent: str) -> Outcome:
    started = time.monotonic()
    status, detail, logs = "ok", "", ""
    remarks = io.StringIO()
    with Workspace(parent) as workspace, contextlib.redirect_stdout(remarks):
        try:
            case.body(workspace)
        except Skip as skip:
            status, detail = "skip", str(skip)
        except Failure as failure:
            status, detail, logs = "FAIL", str(failure), workspace.logs()
        except Exception:
            # A broken peer or test must not end the run; its trace is the detail.
            status, detail, logs = "FAIL", traceback.format_exc(), workspace.logs()
    outcome = _describe(case, status, time.monotonic() - started, detail, logs)
    return Outcome(status, remarks.getvalue() + outcome.text)


def _describe(case: Case, status: str, seconds: float, detail: str, logs: str = "") -> Outcome:
    line = f"{status:<4}  {case.name:<22}  {case.peer:<10}  {case.role:<6}  {seconds:>5.1f}"
    if status == "skip":
        return Outcome(status, f"{line}  {detail}".rstrip())
    rest = (detail + "\n" + logs).splitlines() if status == "FAIL" else []
    return Outcome(status, "\n".join([line, *(f"      {text}" for text in rest)]))
