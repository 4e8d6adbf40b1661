"""The table of results, on the terminal and in interop/RESULTS.md."""

import dataclasses
import datetime
import pathlib

from matrix.stage import Outcome


@dataclasses.dataclass
class Results:
    """Every outcome by case, peer and our role."""

    versions: dict[str, str]
    outcomes: dict[tuple[str, str, str], list[Outcome]] = dataclasses.field(default_factory=dict)

    def add(self, case: str, peer: str, role: str, outcome: Outcome) -> None:
        self.outcomes.setdefault((case, peer, role), []).append(outcome)

    @property
    def has_failed(self) -> bool:
        return self.count("FAIL") > 0

    def count(self, status: str) -> int:
        return sum(one.status == status for many in self.outcomes.values() for one in many)

    def table(self) -> list[str]:
        """Lines of Markdown."""
        columns = sorted({key[1:] for key in self.outcomes}, key=lambda key: (key[1], key[0]))
        rows = list(dict.fromkeys(key[0] for key in self.outcomes))
        head = ["case"] + [
            f"{peer} -> qtun" if role == "server" else f"qtun -> {peer}" for peer, role in columns]
        lines = [_row(head), _row(["---"] * len(head))]
        for case in rows:
            cells = [_cell(self.outcomes.get((case, *column), [])) for column in columns]
            lines.append(_row([case, *cells]))
        return lines

    def reasons(self) -> list[str]:
        """Why cases were skipped, each reason once."""
        found: dict[str, set[str]] = {}
        for (case, _, _), many in self.outcomes.items():
            for one in many:
                if one.status == "skip":
                    found.setdefault(one.words, set()).add(case)
        return [f"- {', '.join(sorted(cases))}: {reason}" for reason, cases in found.items()]

    def write(self, path: pathlib.Path, repeats: int) -> None:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        path.write_text("\n".join([
            "# Results of the runner's cases",
            "",
            f"Made by `make interop` on {datetime.date.today()}: qtun against {versions};",
            f"{repeats} run{'s' if repeats > 1 else ''} of each case, each with a seed of its own.",
            "The arrow goes from client to server. Figures are those of the last run: the time, the",
            "rate, the amplification or the paths that the case is about.",
            "",
            *self.table(),
            "",
            "Skipped:",
            "",
            *self.reasons(),
            "",
        ]))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(many: list[Outcome]) -> str:
    if not many:
        return ""
    failed = sum(one.status == "FAIL" for one in many)
    if failed:
        return f"FAIL {failed}/{len(many)}"
    if many[-1].status == "skip":
        return "-"
    return f"ok {many[-1].words}".strip()
