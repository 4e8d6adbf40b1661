"""The programs under test and their peers, as far as this machine has them."""

import functools
import os
import pathlib
import shutil
import subprocess

from harness import suite
from harness.certificates import Certificates
from harness.long_chain import LongChain


class Tools:
    """Finds programs; a case that asks for a missing one is skipped with the reason."""

    def __init__(
        self, root: pathlib.Path, qtun: pathlib.Path | None = None,
        flood: pathlib.Path | None = None,
    ) -> None:
        self.interop = root / "interop"
        self._build = root / ".build"
        self._qtun = qtun
        self._flood = flood

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

    @functools.cached_property
    def long_chain(self) -> LongChain:
        """Made when the first case needs it, removed with the run."""
        self.program("openssl")
        return LongChain()

    @property
    def link(self) -> pathlib.Path:
        """The bad link. Without it there is nothing to test, which is a failure."""
        program = self._build / "debug" / "qtun-link"
        suite.require(program.exists(), f"{program} does not exist; 'swift build' makes it")
        return program

    @functools.cached_property
    def quicgo(self) -> pathlib.Path:
        """Our program on quic-go, built where Debian's package of it is installed."""
        go = next(iter(sorted(pathlib.Path("/usr/lib").glob("go-1.2[3-9]/bin/go"))), None)
        sources = pathlib.Path("/usr/share/gocode/src/github.com/quic-go/quic-go")
        if go is None or not sources.exists():
            raise suite.Skip("quic-go is not installed; scripts/setup interop does it")
        folder = self._build / "interop-go"
        environment = os.environ | {
            "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
            "GOCACHE": str(folder / "cache"),
        }
        done = subprocess.run(
            [go, "build", "-o", folder / "quicgo", "./interop/peers/quicgo"],
            cwd=self._build.parent, env=environment, capture_output=True, text=True)
        suite.require(done.returncode == 0, f"quic-go's peer does not build: {done.stderr}")
        return folder / "quicgo"

    @property
    def example(self) -> pathlib.Path:
        """The library as another program uses it."""
        program = self._build / "debug" / "qtun-example"
        suite.require(program.exists(), f"{program} does not exist; 'swift build' makes it")
        return program

    @property
    def flood(self) -> pathlib.Path:
        """The peer that misuses its ticket."""
        program = self._flood or self._build / "debug" / "qtun-flood"
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
