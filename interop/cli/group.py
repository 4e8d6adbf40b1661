"""Cases that are declared by a decorator and bounded in time."""

import signal
from collections.abc import Callable

from cli.stage import Stage
from harness.suite import Case, Failure
from harness.tools import Tools
from harness.workspace import Workspace

Body = Callable[[Stage], None]


class Group:
    """Cases of one subject; its name selects all of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bodies: list[tuple[str, int, bool, Body]] = []

    def case(
        self, name: str, seconds: int = 30, alone: bool = False
    ) -> Callable[[Body], Body]:
        """Declares a function as a case that must be over after so many seconds.

        One that runs `alone` has the machine for itself, because it judges time or load.
        """
        def declare(body: Body) -> Body:
            self._bodies.append((name, seconds, alone, body))
            return body

        return declare

    def cases(self, tools: Tools) -> list[Case]:
        return [
            Case(name, "qtun", self._name, _bounded(tools, body, seconds), is_alone=alone)
            for name, seconds, alone, body in self._bodies
        ]


def _bounded(tools: Tools, body: Body, seconds: int) -> Callable[[Workspace], None]:
    def run(workspace: Workspace) -> None:
        def expire(*_) -> None:
            raise Failure(f"not over after {seconds} s")

        previous = signal.signal(signal.SIGALRM, expire)
        signal.alarm(seconds)
        try:
            with Stage(tools, workspace) as stage:
                body(stage)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    return run
