"""An authority and a server certificate for one run, made with openssl or certtool."""

import pathlib
import shutil
import subprocess
import tempfile

NAMES = ["localhost", "server", "server4", "server6", "server46"]
ADDRESSES = ["127.0.0.1", "::1", "10.99.0.2", "fd00:99::2"]
DAYS = 10


class Certificates:
    """A directory with ca.pem, cert.pem and priv.key; P-256, as the interop runner makes them."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="qtun-certificates-")
        self.path = pathlib.Path(self._directory.name)
        if shutil.which("openssl"):
            self._make_with_openssl()
        elif shutil.which("certtool"):
            self._make_with_certtool()
        else:
            raise FileNotFoundError("neither openssl nor certtool is installed")
        self.authority = self.path / "ca.pem"
        self.chain = self.path / "cert.pem"
        self.key = self.path / "priv.key"

    def _run(self, *arguments: str) -> None:
        subprocess.run(arguments, cwd=self.path, check=True, capture_output=True)

    def _make_with_openssl(self) -> None:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._run(
            "openssl", "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem",
            "-days", str(DAYS), "-subj", "/CN=qtun interop authority",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign")
        self._run(
            "openssl", "req", *curve, "-keyout", "priv.key", "-out", "leaf.csr",
            "-subj", "/CN=localhost")
        names = [f"DNS:{name}" for name in NAMES] + [f"IP:{address}" for address in ADDRESSES]
        (self.path / "extensions").write_text(
            f"subjectAltName={','.join(names)}\n"
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
        self._run(
            "openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", str(DAYS), "-extfile", "extensions", "-out", "cert.pem")

    def _make_with_certtool(self) -> None:
        for key in ["ca.key", "priv.key"]:
            self._run(
                "certtool", "--generate-privkey", "--key-type=ecdsa", "--curve=secp256r1",
                "--outfile", key)
        (self.path / "authority").write_text(
            f"cn = qtun interop authority\nca\ncert_signing_key\nexpiration_days = {DAYS}\n")
        self._run(
            "certtool", "--generate-self-signed", "--load-privkey", "ca.key",
            "--template", "authority", "--outfile", "ca.pem")
        names = [f"dns_name = {name}" for name in NAMES]
        addresses = [f"ip_address = {address}" for address in ADDRESSES]
        (self.path / "leaf").write_text(
            "\n".join(["cn = localhost", *names, *addresses, "signing_key", "tls_www_server"])
            + f"\nexpiration_days = {DAYS}\n")
        self._run(
            "certtool", "--generate-certificate", "--load-privkey", "priv.key",
            "--load-ca-certificate", "ca.pem", "--load-ca-privkey", "ca.key",
            "--template", "leaf", "--outfile", "cert.pem")
