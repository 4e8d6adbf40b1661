"""The table, on the terminal and in RELAY-LOAD.md."""

import datetime
import pathlib

from meetings.report import load, table, versions
from meetings.result import Result

# How the rows of each scenario begin.
ROWS = {
    "crowd": ("1000 idle nodes over UDP",), "crowd-tcp": ("1000 idle nodes over TCP",),
    "initials": ("Initials:",), "binds": ("binds:",),
    "hellos": ("ClientHello without end", "1000 of them"), "tokens": ("wrong tokens",),
}


class Report:
    """What came of everything, in the order in which it was played."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._began = datetime.datetime.now(datetime.timezone.utc)
        self._load = load()

    @property
    def failures(self) -> int:
        return sum(result.status == "FAIL" for result in self.results)

    def rows(self) -> list[str]:
        return table([["", "what", "bar", "measured"], *(
            [result.status, result.what, result.bar, result.figures] for result in self.results)])

    def write(self, path: pathlib.Path, qtun: str, seconds: float) -> None:
        minutes = (datetime.datetime.now(datetime.timezone.utc) - self._began).seconds / 60
        path.write_text("\n".join([
            "# What one relay stands", "",
            f"Made by `interop/run-relay-load --write` on {self._began:%Y-%m-%d %H:%M} UTC in "
            f"{minutes:.0f} minutes, one run of each.", f"Load average {self._load} before, {load()} "
            "after.", "", *(f"- {line}" for line in versions(qtun)), "",
            "`qtun relay` with its defaults has one core; flooder, newcomers, the session and the "
            "emulated", "lines share the other one. The relay is 20 ms away from its nodes. Each flood "
            f"lasts {seconds:.0f} s, from", "addresses and ports that are random for each packet, "
            "beside a session of 50 Mbit/s through the", "relay. Twice a second one newcomer registers "
            "and another one connects through the relay.", "", *self.rows(), ""]))

    def replace(self, path: pathlib.Path, qtun: str, names: list[str]) -> None:
        """Puts the rows of these scenarios in place of those that a run of all has written."""
        head, _, rest = path.read_text().partition("\n\n|")
        old = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rest.splitlines()[2:]]
        new = [[result.status, result.what, result.bar, result.figures] for result in self.results]
        for name in names:
            begins = [begin for begin, row in enumerate(old) if row[1].startswith(ROWS[name])]
            fresh = [row for row in new if row[1].startswith(ROWS[name])]
            at = begins[0] if begins else len(old)
            old = [row for number, row in enumerate(old) if number not in begins]
            old[at:at] = fresh
        command = f"`--only {' --only '.join(names)}`"
        note = (f"{command} again on {self._began:%Y-%m-%d %H:%M} UTC: load average "
                f"{self._load} before,\n{load()} after, {versions(qtun)[0]}.")
        head = "\n\n".join(part for part in head.split("\n\n") if not part.startswith(command))
        rows = table([["", "what", "bar", "measured"], *old])
        path.write_text("\n".join([head, "", note, "", *rows, ""]))
