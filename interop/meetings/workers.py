"""Laboratories in processes of their own, several at once, for run-nat-matrix and run-relay-bars."""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

from lab.bad_link import REPOSITORY
from lab.internet import die_with_parent
from meetings.result import Result, Task


class Workers:
    """Processes that play tasks; a thread waits for each."""

    def __init__(self, qtun: str, count: int) -> None:
        self._free: queue.SimpleQueue = queue.SimpleQueue()
        # From the main thread: children die with the thread that made them.
        self._all = [
            subprocess.Popen(
                ["unshare", unshare_flags(), sys.executable, "-B",
                 str(pathlib.Path(__file__).with_name("worker.py")), os.path.abspath(qtun)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                preexec_fn=end_with_parent)
            for _ in range(count)]
        for worker in self._all:
            self._free.put(worker)

    def play(self, task: Task) -> Result:
        worker = self._free.get()
        try:
            worker.stdin.write(json.dumps(dataclasses.asdict(task)) + "\n")
            answer = worker.stdout.readline()
        except OSError:
            answer = ""
        finally:
            self._free.put(worker)
        if not answer:
            return Result(task.scenario, "", "FAIL", "the laboratory is gone", cell="gone")
        return Result(**json.loads(answer))

    def stop(self) -> None:
        """Lets every laboratory take itself down."""
        for worker in self._all:
            worker.terminate()
        for worker in self._all:
            worker.wait()


def unshare_flags() -> str:
    return "-n" if os.geteuid() == 0 else "-Urn"


def end_with_parent() -> None:
    die_with_parent(signal.SIGTERM)


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def impossible(qtun: str) -> str:
    """Why nothing can be played here, or nothing."""
    flags = unshare_flags()
    if subprocess.run(["unshare", flags, "true"], capture_output=True).returncode != 0:
        return f"this user may not make a network namespace (unshare {flags})"
    for program in ("nft", "ip", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not os.path.exists(qtun):
        return f"{qtun} is not built"
    return ""


def play_all(
    qtun: str, tasks: list[Task], jobs: int, failures: pathlib.Path,
    done: Callable[[int, Task, Result], None],
) -> None:
    """Plays the tasks, `jobs` at once; says each result at once, and puts logs of misses into `failures`."""
    shutil.rmtree(failures, ignore_errors=True)
    workers = Workers(qtun, min(jobs, len(tasks)))
    threads = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        plays = {threads.submit(workers.play, task): number for number, task in enumerate(tasks)}
        for play in concurrent.futures.as_completed(plays):
            number, result = plays[play], play.result()
            _note(tasks[number], result, number, failures)
            done(number, tasks[number], result)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        workers.stop()


def conclude(results: list[Result], failures: pathlib.Path) -> int:
    """Counts them; the status to exit with."""
    counts = {
        status: sum(result.status == status for result in results) for status in ("ok", "FAIL", "skip")}
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped", flush=True)
    if counts["FAIL"] and failures.exists():
        print(f"logs of what was missed: {failures.relative_to(REPOSITORY)}")
    return 1 if counts["FAIL"] else 0


def _note(task: Task, result: Result, number: int, failures: pathlib.Path) -> None:
    """One line at once, and a file where something is to be read."""
    print(f"{result.status:<4}  {result.what}: {result.figures}"
          + (f" (bar {result.bar})" if result.bar else ""), flush=True)
    if result.status == "FAIL" and result.detail:
        failures.mkdir(parents=True, exist_ok=True)
        path = failures / f"{number:03}-{task.scenario}-{task.routers}.log"
        path.write_text(f"{result.what}\n{result.figures}\n{result.detail}\n")
