"""The table of results, on the terminal and in a file."""

import dataclasses
import datetime
import pathlib

from matrix.cases import CASES
from matrix.plan import Play
from matrix.stage import Outcome


@dataclasses.dataclass
class Results:
    """Every outcome by case, peer and our role."""

    versions: dict[str, str]
    outcomes: dict[tuple[str, str, str], list[Outcome]] = dataclasses.field(default_factory=dict)
    # What failed, in order.
    failures: list[str] = dataclasses.field(default_factory=list)

    def add(self, play: Play, outcome: Outcome) -> None:
        key = play.case.name, play.peer.name, play.role
        self.outcomes.setdefault(key, []).append(outcome)
        if outcome.status == "FAIL":
            self.failures.append(
                f"{play.case.name}, {_pair(play.peer.name, play.role)}, seed {play.seed}: "
                f"{outcome.words}")

    @property
    def has_failed(self) -> bool:
        return self.count("FAIL") > 0

    def count(self, status: str) -> int:
        return sum(one.status == status for many in self.outcomes.values() for one in many)

    def table(self) -> list[str]:
        """Lines of Markdown."""
        columns = sorted({key[1:] for key in self.outcomes}, key=lambda key: (key[1], key[0]))
        played = {key[0] for key in self.outcomes}
        lines = [
            _row(["case", *(_pair(*column) for column in columns)]),
            _row(["---"] * (len(columns) + 1)),
        ]
        for case in CASES:
            if case.name not in played:
                continue
            cells = [
                _cell(self.outcomes.get((case.name, *column), []),
                      column[0] if case.is_of_server and column[1] == "client" else "")
                for column in columns
            ]
            lines.append(_row([case.name, *cells]))
        return lines

    def reasons(self) -> list[str]:
        """Why cases were skipped, each reason once."""
        found: dict[str, set[str]] = {}
        for (case, _, _), many in self.outcomes.items():
            for one in many:
                if one.status == "skip":
                    found.setdefault(one.words, set()).add(case)
        return [f"- {', '.join(sorted(cases))}: {reason}" for reason, cases in found.items()]

    def write(self, path: pathlib.Path) -> None:
        """Replaces the file at once, so that a stop leaves a whole one."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [
            "# Results of the runner's cases",
            "",
            f"Made by `interop/run-matrix --write` on {datetime.date.today()}: qtun against {versions};",
            f"{self._runs()} of each case, each on a link with a seed of its own.",
            "The arrow goes from client to server. Figures are the time, the rate, the",
            "amplification or the paths that the case is about, from the smallest to the largest of",
            "all runs. Rates and amplification are the server's doing: those of another server carry",
            "its name, and our bars are not for them.",
            "",
            *self.table(),
        ]
        if self.failures:
            lines += ["", "Failed:", "", *(f"- {failure}" for failure in self.failures)]
        lines += ["", "Skipped:", "", *self.reasons(), ""]
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join(lines))
        fresh.replace(path)

    def _runs(self) -> str:
        counts = [
            len(many) for many in self.outcomes.values() if many and many[-1].status != "skip"]
        least, most = min(counts, default=0), max(counts, default=0)
        counted = f"{most}" if least == most else f"{least} to {most}"
        return f"{counted} run{'' if most == 1 else 's'}"


def _pair(peer: str, role: str) -> str:
    return f"{peer} -> qtun" if role == "server" else f"qtun -> {peer}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(many: list[Outcome], owner: str) -> str:
    """`owner` is the foreign server whose doing the figures are."""
    if not many:
        return ""
    if many[-1].status == "skip":
        return "-"
    failed = sum(one.status == "FAIL" for one in many)
    words = [f"FAIL {failed}/{len(many)}" if failed else "ok"]
    figures = sorted(
        (one.figure for one in many if one.figure), key=lambda figure: figure.value)
    if figures:
        least, most = str(figures[0]), str(figures[-1])
        words.append(most if least == most else f"{least.split()[0]} to {most}")
        if owner:
            words.append(f"({owner}'s)")
    return " ".join(words)
