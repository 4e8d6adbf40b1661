"""Chromium without a screen: opens one page, and writes down what became of it."""

import base64
import hashlib
import pathlib
import shutil
import subprocess

from harness.process import Process
from harness.suite import Skip, require
from harness.workspace import Workspace

# Nothing of its own on the network, nothing outside of its profile, and no GPU or system bus.
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-default-apps", "--hide-scrollbars",
]
SECONDS = 120


def program() -> str:
    """Not part of any setup: it brings a third of a gigabyte."""
    found = shutil.which("chromium")
    if not found:
        raise Skip("chromium is not installed; 'apt-get install chromium' does it")
    return found


def version() -> str:
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def visit(
    workspace: Workspace, end, host: str, address: str, certificate: pathlib.Path, url: str,
) -> str:
    """The page as it stands when its script is done; the picture is in `screenshot.png`.

    It is made to speak QUIC at once. Learning of it by Alt-Svc cannot be tried with a certificate that
    no public authority has given: Chromium then refuses QUIC (ERR_QUIC_CERT_ROOT_NOT_KNOWN).
    """
    options = [
        f"--user-data-dir={workspace.path / 'profile'}", f"--host-resolver-rules=MAP {host} {address}",
        f"--ignore-certificate-errors-spki-list={_pin(certificate)}", "--window-size=720,400",
        f"--screenshot={workspace.path / 'screenshot.png'}", "--dump-dom",
        # Time stands still while something is fetched, so this is no limit for the network.
        "--virtual-time-budget=20000", f"--origin-to-force-quic-on={host}:443",
    ]
    process: Process = workspace.start(
        "chromium", end.command(program(), *QUIET, *options, url),
        {"SSLKEYLOGFILE": str(workspace.path / "client.keys"), "HOME": str(workspace.path)})
    status = process.wait(SECONDS)
    require(status == 0, f"chromium's exit status is {status} after {SECONDS} s at most")
    return process.output()


def _pin(certificate: pathlib.Path) -> str:
    """The SHA-256 of the certificate's public key, as RFC 7469 writes it."""
    key = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True,
        check=True)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=key.stdout, capture_output=True,
        check=True)
    return base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()
