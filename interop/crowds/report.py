"""The table, on the terminal and in RELAY-LOAD.md."""

import datetime
import pathlib

from meetings.report import load, table, versions
from meetings.result import Result


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
