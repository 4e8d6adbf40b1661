"""In which order cases are played, and which of them at once."""

import collections
import dataclasses
import threading

from matrix.cases import Case
from matrix.peers import Peer

# Rates suffer when the processors are busy with other cases.
MEASURED_AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class Play:
    """One case with one peer, on a link with this seed; `role` is the part of our endpoint."""

    case: Case
    peer: Peer
    role: str
    seed: int


class Plan:
    """The plays that are still to come; several threads take from it.

    Whole rounds come one after the other, so that a stop leaves all cases played equally often; in
    a round the long ones begin, so that it ends for all at once.
    """

    def __init__(
        self, cases: list[Case], pairs: list[tuple[Peer, str]], seeds: range
    ) -> None:
        first_the_long = sorted(
            cases, key=lambda case: (-case.seconds, -sum(case.files.values())))
        self._waiting = collections.deque(
            Play(case, peer, role, seed)
            for seed in seeds for case in first_the_long for peer, role in pairs)
        self._measured = 0
        self._changed = threading.Condition()

    def take(self) -> Play | None:
        """The next one that may be played now, waiting for it if need be; None at the end."""
        with self._changed:
            while self._waiting:
                for play in self._waiting:
                    if not play.case.is_measured or self._measured < MEASURED_AT_ONCE:
                        self._waiting.remove(play)
                        self._measured += play.case.is_measured
                        return play
                self._changed.wait()
            return None

    def done(self, play: Play) -> None:
        """After each that was taken."""
        with self._changed:
            self._measured -= play.case.is_measured
            self._changed.notify_all()

    def drop(self, play: Play) -> None:
        """The same case with the same peer shall not come again: it was skipped."""
        with self._changed:
            self._waiting = collections.deque(
                one for one in self._waiting
                if (one.case, one.peer, one.role) != (play.case, play.peer, play.role))
            self._changed.notify_all()

    def clear(self) -> None:
        """Nothing more shall be played."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
