"""A certificate chain that is far larger than a server may send to an address it does not know."""

import pathlib
import subprocess
import tempfile

from harness.certificates import ADDRESSES, DAYS, NAMES

INTERMEDIATES = 8
NAME_COUNT, NAME_LENGTH = 20, 250


class LongChain:
    """A folder like that of `Certificates`: nine certificates in cert.pem, and the first is huge."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="qtun-chain-")
        self.path = pathlib.Path(self._directory.name)
        self._issue("0", None, is_authority=True)
        (self.path / "ca.pem").write_text((self.path / "0.pem").read_text())
        for number in range(1, INTERMEDIATES + 1):
            self._issue(str(number), str(number - 1), is_authority=True)
        self._issue("leaf", str(INTERMEDIATES), is_authority=False)
        chain = ["leaf"] + [str(number) for number in range(INTERMEDIATES, 0, -1)]
        (self.path / "cert.pem").write_text(
            "".join((self.path / f"{name}.pem").read_text() for name in chain))
        (self.path / "leaf.key").rename(self.path / "priv.key")
        self.authority, self.chain = self.path / "ca.pem", self.path / "cert.pem"
        self.key = self.path / "priv.key"

    def _issue(self, name: str, issuer: str | None, is_authority: bool) -> None:
        label = "a" * 60
        longest = ".".join([label] * 5)[:NAME_LENGTH - 4]
        names = [f"DNS:{name}"]
        if not is_authority:
            names = [f"DNS:{number:03}.{longest}" for number in range(NAME_COUNT)]
            names += [f"DNS:{one}" for one in NAMES] + [f"IP:{one}" for one in ADDRESSES]
        usage = "keyCertSign" if is_authority else "digitalSignature"
        (self.path / "extensions").write_text(
            f"subjectAltName={','.join(names)}\n"
            f"basicConstraints=critical,CA:{str(is_authority).upper()}\n"
            f"keyUsage=critical,{usage}\n")
        self._run(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN=chain {name}")
        signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"]
        self._run(
            "x509", "-req", "-in", "request", "-days", str(DAYS), "-extfile", "extensions",
            "-out", f"{name}.pem", *(signer if issuer else ["-signkey", f"{name}.key"]))

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.path, check=True, capture_output=True)
