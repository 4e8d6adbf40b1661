"""The programs under test and their peers, as far as this machine has them."""

import functools
import os
import pathlib
import shutil

from harness import suite
from harness.certificates import Certificates


class Tools:
    """Finds programs; a case that asks for a missing one is skipped with the reason."""

    def __init__(self, root: pathlib.Path, qtun: pathlib.Path | None = None) -> None:
        self.interop = root / "interop"
        self._build = root / ".build"
        self._qtun = qtun

    @functools.cached_property
    def certificates(self) -> Certificates:
        """Made when the first case needs them, removed with the run."""
        try:
            return Certificates()
        except FileNotFoundError as error:
            raise suite.Skip(f"{error}; scripts/setup interop installs one")

    @property
    def qtun(self) -> pathlib.Path:
        """The product. Without it there is nothing to test, which is a failure."""
        program = self._qtun or self._build / "debug" / "qtun"
        suite.require(program.exists(), f"{program} does not exist; 'swift build' makes it")
        return program

    @property
    def endpoint(self) -> pathlib.Path:
        """Our interop endpoint. Without it there is nothing to test, which is a failure."""
        program = self._build / "debug" / "qtun-interop"
        suite.require(program.exists(), f"{program} does not exist; 'swift build' makes it")
        return program

    @property
    def example(self) -> pathlib.Path:
        """The library as another program uses it."""
        program = self._build / "debug" / "qtun-example"
        suite.require(program.exists(), f"{program} does not exist; 'swift build' makes it")
        return program

    @property
    def python(self) -> pathlib.Path:
        """The Python that has aioquic."""
        program = self._build / "interop-venv" / "bin" / "python"
        if not program.exists():
            raise suite.Skip("aioquic is not installed; scripts/setup interop does it")
        return program

    def program(self, name: str) -> str:
        """A program of the system, also where an ordinary user's PATH does not look."""
        search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        found = shutil.which(name, path=search)
        if not found:
            raise suite.Skip(f"{name} is not installed; scripts/setup interop does it")
        return found
