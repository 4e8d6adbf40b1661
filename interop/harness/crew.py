"""Processes that play cases at the same time, each in a network of its own."""

import contextlib
import multiprocessing
import multiprocessing.connection
import pathlib
import signal
import tempfile
from collections.abc import Callable, Iterator

from harness import namespace
from harness.process import die_with_parent

# Plays the case with this number in this folder; what it returns is handed through.
Play = Callable[[int, str], object]


class Crew:
    """Workers that take the number of a case and give back its outcome.

    No two of them can meet at a port, for each has a network namespace, and a folder for what is
    temporary, which the whole run removes.
    """

    def __init__(self, play: Play, parent: str, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._workers = {}
        for number in range(count):
            ours, theirs = context.Pipe()
            folder = pathlib.Path(parent, f"w{number}")
            folder.mkdir()
            # From the main thread: children die with the thread that made them.
            process = context.Process(
                target=_work, args=[play, str(folder), theirs], daemon=True)
            process.start()
            theirs.close()
            self._workers[ours] = process

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_) -> None:
        """Lets every worker end its case and clean up after it."""
        # A second Ctrl-C must not leave half of it behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            for process in self._workers.values():
                process.terminate()
            for process in self._workers.values():
                process.join()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def reason_not_to_play(self) -> str:
        """Why a worker has no network of its own; empty if all have one. Asked once, before `play`."""
        return next(filter(None, [line.recv() for line in self._workers]), "")

    def play(
        self, numbers: list[int], at_once: int | None = None
    ) -> Iterator[tuple[int, object | None]]:
        """Plays cases, `at_once` at a time or one per worker; gives number and outcome as they come.

        There is no outcome where a worker died of its case, or none was left to play it.
        """
        waiting = list(reversed(numbers))
        playing = {}
        for line in list(self._workers)[:at_once]:
            self._hand_out(line, waiting, playing)
        while playing:
            for line in multiprocessing.connection.wait(list(playing)):
                number, outcome = playing.pop(line), None
                try:
                    outcome = line.recv()
                    self._hand_out(line, waiting, playing)
                except (EOFError, OSError):
                    self._workers.pop(line).join()
                yield number, outcome
        yield from ((number, None) for number in waiting)

    @staticmethod
    def _hand_out(line, waiting: list[int], playing: dict) -> None:
        if waiting:
            playing[line] = waiting.pop()
            line.send(playing[line])


def _work(play: Play, folder: str, line) -> None:
    # Ctrl-C reaches the whole group; who started us decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = folder
    try:
        namespace.enter()
    except OSError as error:
        line.send(f"this user may not make a network namespace ({error.strerror})")
        return
    # After that, for a user namespace makes the system forget it.
    die_with_parent(signal.SIGTERM)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        line.send("")
        while True:
            line.send(play(line.recv(), folder))
