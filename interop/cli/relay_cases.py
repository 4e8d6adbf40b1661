"""A relay as its operator has it: tokens, lists, limits, metrics, reload, stop, service."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

from cli.group import Group
from cli.sockets import dial, echo, receive_exactly
from cli.stage import Stage, end, first_line, require_line, require_text
from harness.process import Process
from harness.suite import require

GROUP = Group("relay")
# What the program promises: who loses his right leaves within five seconds.
LEAVE_SECONDS = 5


def _free_port() -> int:
    """A port that is free, and that the kernel gives to nobody who asks for any."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            return probe.getsockname()[1]


def start_relay(stage: Stage, *options: object, **settings) -> tuple[Process, str]:
    process = stage.start("relay", "--listen", "127.0.0.1:0", *options, **settings)
    return process, first_line(process)


def _token(stage: Stage, *options: object) -> tuple[str, pathlib.Path]:
    """The name of a new token, and a file with it."""
    facts = json.loads(stage.run("token", "add", "--json", *options).output())
    path = stage.home / f"token-{facts['id']}"
    path.write_text(facts["token"] + "\n")
    path.chmod(0o600)
    return facts["id"], path


def share_through(stage: Stage, name: str, *options: object, **settings) -> Process:
    """A share that can be reached through the relay alone."""
    process = stage.start(
        "share", stage.service(echo).port, "--listen", "127.0.0.1:0", "--rendezvous", name,
        "--no-addresses", *options, **settings)
    first_line(process)
    return process


def require_echo(port: int) -> None:
    require(_echoes(port), "nothing comes back through the relay")


def _echoes(port: int) -> bool:
    with dial(port) as client:
        client.sendall(b"ping")
        return receive_exactly(client, 4) == b"ping"


def get(port: int, request: bytes) -> bytes:
    with dial(port) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


@GROUP.case("relay-for-nobody")
def _nobody(stage: Stage) -> None:
    """A relay that nobody may use does not start, and says what to do."""
    failed = stage.run("relay", "--listen", "127.0.0.1:0", status=3)
    require_text(failed.errors(), "nobody may use this relay", "qtun token add", "--allow", "--open")


@GROUP.case("relay-name")
def _relay_name(stage: Stage) -> None:
    """What is printed leads to the port that the relay listens at, unless --name has another."""
    relay = stage.start("relay", "--open", "--listen", f"127.0.0.1:{_free_port()}", "--name", "localhost")
    name = first_line(relay)
    require_line(share_through(stage, name), "rendezvous answers")
    require(end(relay, signal.SIGTERM, 10) == 0, "the relay does not end well")
    _, name = start_relay(stage, "--open", "--name", "relay.example.org:443")
    require(name.endswith("@relay.example.org:443"), f"the relay calls itself {name}")


@GROUP.case("relay-token", seconds=60)
def _tokens(stage: Stage) -> None:
    """The share shows a token, who connects needs none; others are told why they are refused."""
    number, path = _token(stage, "--label", "anna k", "--rate", "20mbit", "--expires", "1h")
    relay, name = start_relay(stage, "-v")
    share = share_through(stage, name, "--token-file", path)
    require_line(share, r"the relay takes our token .*until ")
    connect = stage.connect(first_line(share), "--carrier", "relay")
    require(_echoes(connect.port), "nothing comes back through the relay")
    refused = share_through(stage, name)
    require_line(refused, r"the relay refuses us .*we showed none.*--token-file")
    # By the environment; and a slip, or another relay's token, is noticed before anything starts.
    other = share_through(stage, name, environment={"QTUN_RELAY_TOKEN": path.read_text()})
    require_line(other, "the relay takes our token")
    text = path.read_text().strip()
    path.write_text(text[:-1] + ("a" if text[-1] != "a" else "e"))
    failed = stage.run("share", 1, "--rendezvous", name, "--token-file", path, status=3)
    require_text(failed.errors(), "is not a token", "fix: ")
    foreign = "a" * 51 + "a@127.0.0.1:1"
    path.write_text(text)
    failed = stage.run("share", 1, "--rendezvous", foreign, "--token-file", path, status=3)
    require_text(failed.errors(), "for another relay")
    path.chmod(0o644)
    failed = stage.run("share", 1, "--rendezvous", name, "--token-file", path, status=3)
    require_text(failed.errors(), "others can read")
    row = stage.run("token", "list").output()
    require_text(row, number, "valid", "20.0 Mbit/s", "relay", "anna k")
    files = list((stage.identity.parent).iterdir())
    said = row + relay.errors() + share.errors() + "".join(
        file.read_text() for file in files if file.suffix == ".tokens")
    require(text not in said and text[32:58] not in said, "the token is told, or kept")
    for file in files:
        mode = file.stat().st_mode & 0o777
        require(mode == 0o600, f"{file.name} has mode {mode:o}")


@GROUP.case("relay-token-revoked", seconds=60)
def _revoked(stage: Stage) -> None:
    """Holders of a revoked token leave within five seconds, with what crosses the relay."""
    _token(stage, "--label", "other")
    number, path = _token(stage, "--label", "anna")
    relay, name = start_relay(stage)
    share = share_through(stage, name, "--token-file", path)
    connect = stage.connect(first_line(share), "--carrier", "relay")
    with dial(connect.port) as client:
        client.sendall(b"x")
        receive_exactly(client, 1)
        begin = time.monotonic()
        stage.run("token", "revoke", "anna")
        require_line(share, r"the relay refuses us .*token was revoked", seconds=LEAVE_SECONDS)
        print(f"  revoked to told: {time.monotonic() - begin:.2f} s")
    require_line(relay, r"node refused .*revoked")
    require_text(stage.run("token", "list").output(), "revoked", "other")
    require_text(stage.run("token", "revoke", "nobody", status=3).errors(), "no such token")
    late = share_through(stage, name, "--token-file", path)
    require_line(late, r"the relay refuses us .*token was revoked")
    # A relay that runs takes a new token at once.
    _, fresh = _token(stage)
    again = share_through(stage, name, "--token-file", fresh)
    require_line(again, "the relay takes our token")


@GROUP.case("relay-allow")
def _allow(stage: Stage) -> None:
    """Those on the list need no token."""
    key = stage.run("keygen", "--out", stage.home / "friend").output().strip()
    relay, name = start_relay(stage, "--allow", key)
    friend = share_through(stage, name, "--identity", stage.home / "friend")
    require_line(friend, "rendezvous answers")
    connect = stage.connect(first_line(friend))
    require(_echoes(connect.port), "nothing comes back")
    stranger = share_through(stage, name, "--identity", stage.home / "stranger")
    require_line(stranger, r"the relay refuses us .*not on its list")
    require(relay.is_running, "the relay ended")


@GROUP.case("relay-admin", seconds=60)
def _admin(stage: Stage) -> None:
    """Metrics and health; whoever is slow or wrong there harms nobody."""
    port = _free_port()
    relay, name = start_relay(stage, "--open", "--admin", port)
    share = share_through(stage, name)
    connect = stage.connect(first_line(share), "--carrier", "relay")
    require(_echoes(connect.port), "nothing comes back")
    for path, part in [("/healthz", b"200 OK"), ("/readyz", b"200 OK"), ("/x", b"404 ")]:
        require(part in get(port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()), path)
    require(b"405 " in get(port, b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), "POST")
    require(b"400 " in get(port, b"\x00\x01\x02\x03\r\n\r\n"), "nonsense is answered")
    require(b"431 " in get(port, b"GET / HTTP/1.1\r\nA: " + b"a" * 9000), "a head without end")
    metrics = get(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").decode()
    require_text(metrics, "qtun_nodes 2\n", "qtun_nodes_registered 1\n", "qtun_sessions 1\n")
    found = re.search(r'qtun_forwarded_bytes_total\{carrier="udp"\} (\d+)', metrics)
    require(found is not None and int(found.group(1)) > 0, "no bytes are counted")
    for family in ["process_resident_memory_bytes", "process_open_fds", "qtun_event_loop_lag_seconds",
                   "qtun_refusals_total", "qtun_dropped_packets_total", "qtun_throttles_total"]:
        require(f"# TYPE {family} " in metrics, f"there is no {family}")
    body = metrics.split("\r\n\r\n", 1)[1]
    for line in body.splitlines():
        require(re.fullmatch(r'# (HELP|TYPE) .+|[a-z_]+(\{[a-z_]+="[a-z_0-9]+"\})? [0-9.]+', line)
                is not None, f"'{line}' is no line of metrics")
    # Sixteen who say nothing hold the places, and lose them after ten seconds.
    idle = [dial(port) for _ in range(16)]
    time.sleep(0.5)
    try:
        refused = get(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    except OSError:
        refused = True
    require(refused, "a seventeenth is answered")
    deadline = time.monotonic() + 20
    answer = b""
    while b"200 OK" not in answer and time.monotonic() < deadline:
        time.sleep(1)
        try:
            answer = get(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        except OSError:
            answer = b""
    require(b"200 OK" in answer, "those who say nothing keep their places")
    for client in idle:
        client.close()
    require(_echoes(connect.port), "the session broke")


@GROUP.case("relay-reload", seconds=60)
def _reload(stage: Stage) -> None:
    """SIGHUP takes all of the file or nothing, and says what is different."""
    config = stage.home / "relay.conf"
    config.write_text("# options\nopen\nlimit nodes=100\ndrain 1s\n")
    port, other = _free_port(), _free_port()
    relay, name = start_relay(stage, "--config", config)
    require_line(share_through(stage, name), "rendezvous answers")
    config.write_text(f"open\nlimit nodes=200\nlimit rate=80mbit\nadmin {port}\n")
    relay.send(signal.SIGHUP)
    require_line(relay, r"changed .*limit nodes: 100 -> 200")
    require_line(relay, r"changed .*limit rate: 1.00 Gbit/s -> 80.0 Mbit/s")
    require_line(relay, r"changed .*drain: 1s -> 3s")
    require(b"200 OK" in get(port, b"GET /healthz HTTP/1.0\r\n\r\n"), "no admin address")
    for number, (text, part) in enumerate([
        ("open\nlimit nodes=300\nlimmit rate=1mbit\n", "line 3 of .*did you mean limit"),
        ("open\nlimit nodes=0\n", "line 2 of .*out of range"),
        ("limit nodes=300\n", "nobody may use this relay"),
        ("open\nlimit nodes=300\nallow /nowhere\n", "there is no file /nowhere"),
        (f"open\nlimit nodes=300\nadmin {other}\nlisten 127.0.0.1:1\n", "given|listen"),
    ]):
        config.write_text(text)
        relay.send(signal.SIGHUP)
        if number < 4:
            require_line(relay, rf"not reloaded, nothing is changed .*{part}")
            require(b"200 OK" in get(port, b"GET /healthz HTTP/1.0\r\n\r\n"), "changed in part")
    # The command line goes before the file, so the last one is a change of the admin address alone.
    require_line(relay, r"changed .*admin: 127.0.0.1:\d+ -> ")
    require(b"200 OK" in get(other, b"GET /healthz HTTP/1.0\r\n\r\n"), "no new admin address")
    require_line(relay, r"changed .*limit nodes: 200 -> 300")
    require(len(re.findall(r"-> 300", relay.errors())) == 1, "a refused file was taken in part")
    config.write_text("nonsense\n")
    stage.run("relay", "--config", config, status=3)


@GROUP.case("relay-drain", seconds=60)
def _drain(stage: Stage) -> None:
    """Nodes are told of a restart; it is said while it lasts, and the share is back soon after."""
    port = _free_port()
    relay, name = start_relay(stage, "--open", "--admin", port, "--drain", "2s")
    share = share_through(stage, name)
    connect = stage.connect(first_line(share), "--carrier", "relay")
    with dial(connect.port) as client:
        client.sendall(b"a")
        receive_exactly(client, 1)
        relay.send(signal.SIGTERM)
        require_line(share, "the relay restarts")
        require_line(connect.process, "the relay restarts")
        require(b"503 " in get(port, b"GET /readyz HTTP/1.0\r\n\r\n"), "it says that it is ready")
        require(b"200 OK" in get(port, b"GET /healthz HTTP/1.0\r\n\r\n"), "it is not well")
        client.sendall(b"b")
        require(receive_exactly(client, 1) == b"b", "the session ended with the notice")
        require(relay.wait(10) == 0, "the relay did not end well")
        begin = time.monotonic()
        again = stage.start("relay", "--listen", name.split("@")[1], "--open")
        require(first_line(again) == name, "the relay has another name")
        client.settimeout(20)
        client.sendall(b"c")
        require(receive_exactly(client, 1) == b"c", "the session is lost")
        print(f"  relay started again to data: {time.monotonic() - begin:.2f} s")


@GROUP.case("relay-descriptors", seconds=60)
def _descriptors(stage: Stage) -> None:
    """With no descriptor left it waits without spinning, and goes on when there are some."""
    limit = 24
    relay, name = start_relay(
        stage, "--open", wrapper=("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"))
    port = int(name.rsplit(":", 1)[1])
    crowd = []
    for _ in range(60):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        crowd.append(client)
    time.sleep(1)
    folder = pathlib.Path("/proc") / str(relay.pid)
    require(len(list((folder / "fd").iterdir())) >= limit - 1, "there are descriptors left")

    def ticks() -> int:
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    begin = ticks()
    time.sleep(2)
    spent = ticks() - begin
    require(spent <= os.sysconf("SC_CLK_TCK") / 5, f"it takes {spent} ticks in two seconds")
    for client in crowd:
        client.close()
    share = share_through(stage, name)
    require_line(share, "rendezvous answers", seconds=15)
    connect = stage.connect(first_line(share), "--carrier", "relay")
    require(_echoes(connect.port), "nothing comes back")


@GROUP.case("relay-full-disk")
def _full(stage: Stage) -> None:
    """A list that cannot be written is an error, and the old one stays as it was."""
    if os.geteuid() != 0:
        return
    folder = stage.home / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        return
    stage.at_end(lambda: subprocess.run(["umount", folder], capture_output=True))
    key = folder / "relay"
    stage.run("token", "add", "--identity", key)
    before = (folder / "relay.tokens").read_bytes()
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    failed = stage.run("token", "add", "--identity", key, status=3)
    require_text(failed.errors(), "No space left", "make room")
    require((folder / "relay.tokens").read_bytes() == before, "the list changed")
    require(sorted(os.listdir(folder)) == ["filler", "relay", "relay.tokens"], "a file stays behind")
    filler.unlink()
    stage.run("token", "add", "--identity", key)


@GROUP.case("service")
def _service(stage: Stage) -> None:
    """Installing says what it writes, keeps what was changed by hand, and goes without a trace."""
    root = stage.home / "image"
    unit = root / "etc/systemd/system/qtun-relay.service"
    config = root / "etc/qtun/relay.conf"
    require_text(
        stage.run("service", "status", "--root", root, status=3).errors(), "there is no service")
    said = stage.run("service", "install", "--root", root)
    require(said.output().split() == ["written", str(unit), "written", str(config)], said.output())
    require_text(said.errors(), "qtun token add", "enable --now")
    require_text(unit.read_text(), "DynamicUser=yes", "ProtectSystem=strict", "--config /etc/qtun")
    require(unit.stat().st_mode & 0o777 == 0o644, "the unit is not for all to read")
    stage.run("service", "install", "--root", root)
    require_text(stage.run("service", "status", "--root", root).output(), "installed ")
    # The options that it begins with let nobody in, and are understood.
    failed = stage.run("relay", "--config", config, status=3)
    require_text(failed.errors(), "nobody may use this relay")
    unit.write_text(unit.read_text() + "# mine\n")
    require_text(
        stage.run("service", "install", "--root", root, status=3).errors(), "changed by hand")
    stage.run("service", "install", "--root", root, "--force")
    stage.run("service", "uninstall", "--root", root)
    require(not unit.exists() and config.exists(), "too much or too little is removed")
    stage.run("service", "uninstall", "--root", root, status=3)
    user = stage.run("service", "install", "--user")
    require_text(user.output(), ".config/systemd/user/qtun-relay.service")
