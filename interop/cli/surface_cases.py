"""What the commands print, and the files that they make."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

from cli.group import Group
from cli.sockets import dial, echo, free_tcp_port, receive_exactly
from cli.stage import Stage, end, first_line, require_text
from cli.ticket import Ticket
from harness.suite import Skip, require

GROUP = Group("surface")
COMMANDS = [
    "share", "connect", "punch", "ticket make", "ticket show", "ticket list", "ticket revoke",
    "keygen", "version", "help",
]
TOPICS = ["commands", "tickets", "exit-codes", "environment", "security"]


@GROUP.case("plain-output")
def _plain_output(stage: Stage) -> None:
    """Standard output holds the result and nothing else, from start to end."""
    tunnel = stage.tunnel(echo)
    with dial(tunnel.port) as client:
        client.sendall(b"x")
        receive_exactly(client, 1)
    for process, line in [
        (tunnel.connect.process, tunnel.connect.address),
        (tunnel.share.process, tunnel.share.ticket),
    ]:
        require(end(process, signal.SIGTERM) == 0, f"{process.name} ended with {process.status}")
        require(process.output() == f"{line}\n", f"stdout of {process.name}: {process.output()!r}")
    require_text(tunnel.share.process.errors(), f"  qtun connect {tunnel.share.ticket}\n")


@GROUP.case("json-output")
def _json_output(stage: Stage) -> None:
    """With --json every line is an object, on both outputs, and carries the same facts."""
    service = stage.service(echo)
    share = stage.start("share", service.port, "--listen", "127.0.0.1:0", "--json")
    ticket = json.loads(first_line(share))
    require(ticket["event"] == "ticket", f"first object of share: {ticket}")
    invitation = Ticket.parse(ticket["ticket"])
    require(ticket["identity"] == invitation.fingerprint, f"identity: {ticket}")
    require(ticket["address"] == f"127.0.0.1:{invitation.udp_port}", f"address: {ticket}")
    require(ticket["target"] == f"localhost:{service.port}", f"target: {ticket}")
    connect = stage.start("connect", ticket["ticket"], 0, "--json")
    listening = json.loads(first_line(connect))
    require(listening["event"] == "listening", f"first object of connect: {listening}")
    with dial(int(listening["address"].rpartition(":")[2])) as client:
        client.sendall(b"12345")
        receive_exactly(client, 5)
    service.outcome()
    for process in [connect, share]:
        require(end(process, signal.SIGTERM) == 0, f"{process.name} ended with {process.status}")
        lines = [json.loads(line) for line in process.output().splitlines()]
        require(len(lines) == 2, f"stdout of {process.name}: {lines}")
        summary = lines[1]
        expected = {
            "event": "summary", "sessions": 1, "flows": 1, "flows_failed": 0, "bytes_sent": 5,
            "bytes_received": 5,
        }
        facts = {name: summary.get(name) for name in expected}
        require(facts == expected, f"summary of {process.name}: {summary}")
        require(summary["rtt_us"] > 0, f"round-trip time of {process.name}: {summary}")
        for line in process.errors().splitlines():
            require(isinstance(json.loads(line), dict), f"stderr of {process.name}: {line}")


@GROUP.case("keygen")
def _keygen(stage: Stage) -> None:
    path = stage.home / "made" / "here" / "server.key"
    made = stage.run("keygen", "--out", path)
    fingerprint = made.output().strip()
    require(re.fullmatch(r"[a-z2-7]{52}", fingerprint) is not None, f"printed {made.output()!r}")
    _require_mode(path, 0o600)
    _require_mode(path.parent, 0o700)
    refused = stage.run("keygen", "--out", path, status=3)
    require_text(refused.errors(), str(path), "--force")
    content = path.read_bytes()
    replaced = stage.run("keygen", "--out", path, "--force", "--json")
    facts = json.loads(replaced.output())
    require(path.read_bytes() != content, "--force kept the old key")
    require(facts["identity"] != fingerprint, "--force printed the old identity")
    _require_mode(path, 0o600)
    require(os.listdir(path.parent) == [path.name], f"left over: {os.listdir(path.parent)}")
    share = stage.share(free_tcp_port(), "--identity", path)
    require(
        share.invitation.fingerprint == facts["identity"],
        "a share with the key has another identity than keygen printed")


@GROUP.case("key-for-openssl")
def _key_for_openssl(stage: Stage) -> None:
    """The key file is PKCS #8 that others read, and its public half is what keygen prints."""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    path = stage.home / "key.pem"
    fingerprint = stage.run("keygen", "-o", path).output().strip()
    result = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True)
    require(result.returncode == 0, f"openssl: {result.stderr.decode()}")
    key = Ticket(result.stdout[-32:], bytes(16), 0, ())
    require(key.fingerprint == fingerprint, f"{key.fingerprint} is not {fingerprint}")


@GROUP.case("first-use")
def _first_use(stage: Stage) -> None:
    """The first share makes a key that only its owner reads; the next one keeps it."""
    previous = os.umask(0)
    try:
        first = stage.share(free_tcp_port())
    finally:
        os.umask(previous)
    _require_mode(stage.identity, 0o600)
    _require_mode(stage.identity.parent, 0o700)
    require_text(first.process.errors(), f"new identity in {stage.identity}")
    second = stage.share(free_tcp_port())
    require(second.invitation.identity == first.invitation.identity, "the identity changed")
    require("new identity" not in second.process.errors(), "an old identity is called new")
    require(second.ticket != first.ticket, "two shares on free ports have the same ticket")


@GROUP.case("identity-places")
def _identity_places(stage: Stage) -> None:
    """--identity goes before QTUN_IDENTITY, which goes before XDG_CONFIG_HOME."""
    option, variable, folder = [stage.home / name for name in ["option", "variable", "folder"]]
    environment = {"QTUN_IDENTITY": str(variable), "XDG_CONFIG_HOME": str(folder)}
    stage.share(free_tcp_port(), "--identity", option, environment=environment)
    require(option.exists() and not variable.exists(), "--identity does not go first")
    stage.share(free_tcp_port(), environment=environment)
    require(variable.exists() and not folder.exists(), "QTUN_IDENTITY does not go second")
    stage.share(free_tcp_port(), environment={"XDG_CONFIG_HOME": str(folder)})
    require((folder / "qtun" / "identity").exists(), "XDG_CONFIG_HOME is ignored")


@GROUP.case("version")
def _version(stage: Stage) -> None:
    started = time.monotonic()
    text = stage.run("version").output()
    seconds = time.monotonic() - started
    require(seconds < 1, f"'qtun version' takes {seconds:.2f} s")
    require(
        re.fullmatch(r"qtun \S+  qtun/1  ngtcp2 [\d.]+  gnutls [\d.]+\n", text) is not None,
        f"printed {text!r}")
    require(stage.run("--version").output() == text, "--version differs from version")
    facts = json.loads(stage.run("version", "--json").output())
    require(f"qtun {facts['version']}  {facts['protocol']}" in text, f"facts: {facts}")


@GROUP.case("help")
def _help(stage: Stage) -> None:
    """Every command and topic has a page on standard output, within 80 columns."""
    overview = stage.run("help").output()
    require_text(overview, *COMMANDS, *TOPICS)
    for topic in COMMANDS + TOPICS:
        page = stage.run("help", *topic.split())
        require(len(page.output()) > 80, f"the page '{topic}' is empty")
        require(page.errors() == "", f"help on stderr: {page.errors()}")
        wide = [line for line in page.output().splitlines() if len(line) > 80]
        require(not wide, f"lines over 80 columns in '{topic}': {wide}")
    for command in COMMANDS:
        asked = stage.run(*command.split(), "--help").output()
        require(asked == stage.run("help", *command.split()).output(), f"'{command} --help' differs")
    codes = stage.run("help", "exit-codes").output()
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 129, 130, 143]:
        require(re.search(rf"^ *{code} ", codes, re.MULTILINE) is not None, f"{code} is missing")
    unknown = stage.run("help", "tickte", status=2)
    require_text(unknown.errors(), "tickets")
    alone = stage.start()
    require(alone.wait(5) == 2, f"'qtun' alone ends with {alone.status}")
    require(alone.output() == "" and "share" in alone.errors(), "'qtun' alone shows no usage")


@GROUP.case("did-you-mean")
def _did_you_mean(stage: Stage) -> None:
    for words, suggestion in [
        (["shrae", "3000"], "share"),
        (["share", "3000", "--identiy", "x"], "--identity"),
        (["share", "3000", "--congestion", "cubik"], "cubic"),
        (["connect", "t", "--idle-timout=3s"], "--idle-timeout"),
    ]:
        errors = stage.run(*words, status=2).errors()
        require(
            re.search(rf"did you mean {suggestion}\?", errors) is not None,
            f"{words}: '{suggestion}' is not suggested in:\n{errors}")


@GROUP.case("all-errors-at-once")
def _all_errors(stage: Stage) -> None:
    words = ["share", "99999", "--bogus", "--congestion", "reno", "--idle-timeout", "soon", "more"]
    text = stage.run(*words, status=2)
    require(text.output() == "", f"stdout: {text.output()!r}")
    for part in ["99999", "--bogus", "reno", "soon", "more"]:
        require_text(text.errors(), f'"{part}"')
    require(text.errors().count("fix: ") == 5, f"not five fixes:\n{text.errors()}")
    machine = stage.run(*words, "--json", status=2)
    problems = json.loads(machine.errors())["problems"]
    require(len(problems) == 5, f"{len(problems)} problems: {problems}")
    require(not stage.identity.exists(), "a wrong command line made a key")


def _require_mode(path: os.PathLike, mode: int) -> None:
    found = stat.S_IMODE(os.stat(path).st_mode)
    require(found == mode, f"{path} has mode {found:o} instead of {mode:o}")
