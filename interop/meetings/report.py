"""The tables, on the terminal and in NAT-MATRIX.md."""

import datetime
import os
import pathlib
import platform
import subprocess

from lab.nat import KINDS
from meetings.result import Result


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def versions(qtun: str) -> list[str]:
    def first(*words: str) -> str:
        try:
            text = subprocess.run(words, capture_output=True, text=True).stdout
        except OSError:
            return f"{words[0]}: not installed"
        return (text.splitlines() or ["?"])[0]

    commit = first("git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty")
    return [
        f"{first(qtun, 'version')} (commit {commit})", f"Linux {platform.release()}, {os.cpu_count()} cores",
        first("nft", "--version"),
    ]


class Making:
    """When and where a report was made; begins with it."""

    def __init__(self) -> None:
        self._began = datetime.datetime.now(datetime.timezone.utc)
        self._load = load()
        self._is_loaded = os.getloadavg()[0] > os.cpu_count()

    def lines(self, command: str, qtun: str) -> list[str]:
        minutes = (datetime.datetime.now(datetime.timezone.utc) - self._began).seconds / 60
        return [
            f"Made by `interop/{command} --write` on {self._began:%Y-%m-%d %H:%M} UTC in {minutes:.0f} minutes.",
            f"Load average {self._load} before, {load()} after"
            + (": loaded, the machine had other work." if self._is_loaded else "."), "",
            *(f"- {line}" for line in versions(qtun))]


class Bars:
    """A table of bars alone."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._making = Making()

    def lines(self) -> list[str]:
        return rows(self.results)

    def write(self, path: pathlib.Path, title: str, command: str, qtun: str, text: list[str]) -> None:
        path.write_text("\n".join([
            f"# {title}", "", *self._making.lines(command, qtun), "", *text, "", *self.lines(), ""]))


class Report:
    """What came of everything, in the order in which it is shown."""

    def __init__(self, kinds: str, runs: int, round_trip: float) -> None:
        self._kinds, self._runs, self._round_trip = kinds, runs, round_trip
        self.cells: dict[str, Result] = {}
        self.others: list[tuple[int, Result]] = []
        self._making = Making()

    @property
    def all(self) -> list[Result]:
        return [*self.cells.values(), *(result for _, result in self.others)]

    def matrix(self) -> list[str]:
        """Rows are the sharing side, columns the connecting side; empty where nothing was played."""
        if not self.cells:
            return []
        rows = [["share \\ connect", *self._kinds]]
        for one in self._kinds:
            cells = [self.cells.get(one + two) for two in self._kinds]
            if any(cells):
                rows.append([one, *(self._cell(cell) for cell in cells)])
        return table(rows)

    @staticmethod
    def _cell(result: Result | None) -> str:
        if result is None:
            return ""
        return result.cell + (" FAIL" if result.status == "FAIL" else "")

    def bars(self) -> list[str]:
        return rows([result for _, result in sorted(self.others, key=lambda one: one[0])])

    def write(self, path: pathlib.Path, qtun: str) -> None:
        legend = [f"- {letter}: {KINDS[letter].title}" for letter in self._kinds]
        path.write_text("\n".join([
            "# Peers behind NATs", "", *self._making.lines("run-nat-matrix", qtun), "",
            f"`qtun relay`, `share` and `connect` as processes of their own, {self._runs} runs a cell, "
            f"{self._round_trip * 1000:.0f} ms between any", "two machines. A cell says how often the "
            "session became direct, and the median and worst time from the", "start of `connect`, in "
            "seconds; or when both sides had said that only the relay will do.", "",
            *legend, "", *self.matrix(), "", *self.bars(), ""]))


def rows(results: list[Result]) -> list[str]:
    """Each result beside its bar."""
    return table([["", "scenario", "bar", "result"], *(
        [result.status, result.what, result.bar, result.figures] for result in results)]) if results else []


def table(rows: list[list[str]]) -> list[str]:
    """Markdown that can be read as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return lines
