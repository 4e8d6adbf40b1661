"""Tickets with limits and lists of identities: who comes in, who has to leave, and how fast."""

import json
import os
import re
import signal
import threading
import time

from cli.group import Group
from cli.sockets import dial, echo, ending, receive_exactly
from cli.stage import Share, Stage, end, require_line, require_text
from cli.ticket import Ticket
from harness.suite import require

GROUP = Group("access")
# What the program promises, and what a busy machine may add to it.
LEAVE_SECONDS = 5
RUNS = 5


@GROUP.case("ticket-make")
def _make(stage: Stage) -> None:
    """A ticket with limits works at once, shows what it allows, and never its secret."""
    share = stage.share(stage.service(echo).port)
    ticket = _make_ticket(stage, "--expires", "1h", "--uses", "2", "--label", "anna k")
    connect = stage.connect(ticket)
    require(_works(connect.port), "the ticket does not work")
    invitation = Ticket.parse(ticket)
    require(invitation.grant is not None, "the ticket has no grant")
    require(invitation.capability != share.invitation.capability, "the capability is the share's")
    shown = stage.run("ticket", "show", ticket).output()
    require_text(shown, invitation.fingerprint, "uses       2", "uses left  1", "anna k", "valid")
    facts = json.loads(stage.run("ticket", "show", ticket, "--json").output())
    require(facts["uses_left"] == 1 and facts["status"] == "valid", f"facts: {facts}")
    listed = [json.loads(line) for line in
              stage.run("ticket", "list", "--json").output().splitlines()]
    require([row["id"] for row in listed] == [facts["id"]], f"list: {listed}")
    require_text(stage.run("ticket", "list").output(), facts["id"], "valid", "1/2", "anna k")
    secrets = [secret.hex() for secret in [invitation.capability, share.invitation.capability]]
    said = shown + json.dumps(facts) + json.dumps(listed) + _state(stage).read_text()
    require(not any(secret in said for secret in secrets), "a secret is told")
    for name in os.listdir(stage.identity.parent):
        mode = (stage.identity.parent / name).stat().st_mode & 0o777
        require(mode == 0o600, f"{name} has mode {mode:o}")
    # The end of the share takes it out of the list.
    require(end(share.process, signal.SIGTERM) == 0, "the share does not end well")
    failed = stage.run("ticket", "make", status=3)
    require_text(failed.errors(), "no share runs", "fix: ")


@GROUP.case("ticket-scope")
def _scope(stage: Stage) -> None:
    """The holder of a ticket for one service sees and opens that one alone."""
    web, other = stage.service(echo), stage.service(echo)
    share = Share(stage.start(
        "share", f"web={web.port}", f"other={other.port}", "--listen", "127.0.0.1:0"))
    ticket = _make_ticket(stage, "--share", "web")
    connect = stage.start("connect", ticket, "web=0", "--json")
    require(bool(connect.wait_for(lambda: "listening" in connect.output())), "nothing is opened")
    port = int(json.loads(connect.output().splitlines()[0])["address"].rsplit(":", 1)[1])
    require(_works(port), "the service of the ticket does not work")
    refused = stage.run("connect", ticket, "other=0", status=3)
    require_text(refused.errors(), "the share has no service other")
    require_text(stage.run("ticket", "make", "--share", "db", status=3).errors(), "web, other")
    require(share.process.is_running, "the share ended")


@GROUP.case("ticket-expires", seconds=40)
def _expires(stage: Stage) -> None:
    """A ticket's sessions end with it, and nobody comes in afterwards."""
    stage.share(stage.service(echo).port)
    ticket = _make_ticket(stage, "--expires", "3s")
    made = time.monotonic()
    connect = stage.connect(ticket)
    with dial(connect.port) as client:
        client.sendall(b"x")
        receive_exactly(client, 1)
        status = connect.process.wait(10)
        lived = time.monotonic() - made
    require(status == 4, f"connect ends with {status}")
    require(1.5 < lived < 3 + LEAVE_SECONDS, f"the session lives for {lived:.1f} s")
    for process in [connect.process, stage.run("connect", ticket, 0, status=4)]:
        require_text(process.errors(), "qtun: the ticket has expired", "fix: ")
    require_text(stage.run("ticket", "list").output(), "expired")


@GROUP.case("ticket-revoke", seconds=90)
def _revoke(stage: Stage) -> None:
    """Each live session of a revoked ticket ends within five seconds, and no other does."""
    share = stage.share(stage.service(echo).port)
    bystander = stage.connect(share.ticket)
    times = []
    for run in range(RUNS):
        ticket = _make_ticket(stage, "--label", f"run {run}")
        connect = stage.connect(ticket)
        with dial(connect.port) as client:
            client.sendall(b"x")
            receive_exactly(client, 1)
            facts = json.loads(stage.run("ticket", "show", ticket, "--json").output())
            name = [ticket, facts["id"], f"run {run}"][run % 3]
            begin = time.monotonic()
            stage.run("ticket", "revoke", name)
            client.settimeout(10)
            require(ending(client) == "RST", "the flow is not reset")
            times.append(time.monotonic() - begin)
        require(connect.process.wait(5) == 4, f"connect ends with {connect.process.status}")
        require_text(connect.process.errors(), "taken this ticket back", "fix: ")
        refused = stage.run("connect", ticket, 0, status=4)
        require_text(refused.errors(), "taken this ticket back")
    print(f"  revoke to closed session: {', '.join(f'{each:.2f}' for each in times)} s")
    require(max(times) < LEAVE_SECONDS, f"revoking takes {max(times):.1f} s")
    require(_works(bystander.port), "the session of another ticket ended too")
    require_text(stage.run("ticket", "revoke", "nobody", status=3).errors(), "no such ticket")
    require_text(
        stage.run("ticket", "revoke", share.ticket, status=3).errors(), "has no limits", "fix: ")


@GROUP.case("ticket-uses")
def _uses(stage: Stage) -> None:
    """A use is an identity: it may come back, another one finds the ticket used up."""
    share = stage.share(stage.service(echo).port)
    ticket = _make_ticket(stage, "--uses", "1")
    for _ in range(3):
        connect = stage.connect(ticket)
        require(_works(connect.port), "the first identity does not come in again")
        end(connect.process, signal.SIGTERM)
    other = ["--identity", stage.home / "other"]
    refused = stage.run("connect", ticket, 0, *other, status=4)
    require_text(refused.errors(), "used by as many identities as it allows", "fix: ")
    require(share.process.is_running, "the share ended")
    # A second ticket, used by several at once, lets in exactly as many as it says.
    ticket = _make_ticket(stage, "--uses", "2")
    runs = [
        stage.start("connect", ticket, 0, "--identity", stage.home / f"key{number}")
        for number in range(5)
    ]
    require(
        bool(runs[0].wait_for(lambda: sum(not run.is_running for run in runs) == 3, seconds=15)),
        "not three of five are refused")
    inside = sum("\n" in run.output() for run in runs)
    require(inside == 2, f"{inside} identities came in")


@GROUP.case("ticket-tampered")
def _tampered(stage: Stage) -> None:
    """Whoever changes what a ticket allows holds one that is worth nothing."""
    stage.share(stage.service(echo).port)
    good = Ticket.parse(_make_ticket(stage, "--expires", "1h", "--uses", "1"))
    grant = bytearray(good.grant)
    for index in [0, 15, 16]:
        # The number, the last byte of the expiry, the uses.
        changed = bytes(byte ^ (2 if at == index else 0) for at, byte in enumerate(grant))
        refused = stage.run("connect", good.replacing(grant=changed).text, 0, status=4)
        require_text(refused.errors(), "the peer does not let us in", "fix: ")
    refused = stage.run("connect", good.replacing(grant=None).text, 0, status=4)
    require_text(refused.errors(), "the peer does not let us in")
    require(_works(stage.connect(good.text).port), "the ticket itself does not work any more")


@GROUP.case("ticket-of-share")
def _own_ticket(stage: Stage) -> None:
    """`qtun share --expires --uses` prints a ticket with these limits, and no other one."""
    share = stage.share(stage.service(echo).port, "--expires", "1h", "--uses", "1")
    facts = json.loads(stage.run("ticket", "show", share.ticket, "--json").output())
    require(facts["uses"] == 1 and facts["uses_left"] == 1, f"facts: {facts}")
    require(_works(stage.connect(share.ticket).port), "the ticket does not work")
    refused = stage.run("connect", share.ticket, 0, "--identity", stage.home / "other", status=4)
    require_text(refused.errors(), "used by as many")


@GROUP.case("ticket-several-shares")
def _several(stage: Stage) -> None:
    """With two shares of one identity, `ticket make` asks which and lists them."""
    service = stage.service(echo)
    one, two = stage.share(service.port), stage.share(service.port)
    asked = stage.run("ticket", "make", status=3).errors()
    ports = [one.invitation.udp_port, two.invitation.udp_port]
    require_text(asked, "several shares", *(str(port) for port in ports), "--port")
    for port in ports:
        ticket = _make_ticket(stage, "--port", port)
        require(Ticket.parse(ticket).udp_port == port, "the ticket names another share")
        require(_works(stage.connect(ticket).port), "the ticket does not work")
    require_text(stage.run("ticket", "make", "--port", 1, status=3).errors(), "no share listens")
    # A share that was killed is not offered any more.
    two.process.kill()
    require(_works(stage.connect(_make_ticket(stage)).port), "the ticket does not work")
    ticket = _make_ticket(stage, "--address", "192.0.2.7:99", "--address", "127.0.0.1:98")
    require([port for _, port in Ticket.parse(ticket).addresses] == [99, 98], "other addresses")


@GROUP.case("ticket-fixed-port")
def _fixed_port(stage: Stage) -> None:
    """With a fixed port, tickets with limits outlive a restart, and so do uses and revocations."""
    service = stage.service(echo)
    share = stage.share(service.port)
    port = share.invitation.udp_port
    end(share.process, signal.SIGTERM)
    share = stage.share(service.port, port=port)
    kept, used, revoked = (_make_ticket(stage, "--uses", "1") for _ in range(3))
    end(stage.connect(used).process, signal.SIGTERM)
    stage.run("ticket", "revoke", revoked)
    end(share.process, signal.SIGTERM)
    stage.share(service.port, port=port)
    other = ["--identity", stage.home / "other"]
    require(_works(stage.connect(kept).port), "the ticket does not work any more")
    require_text(stage.run("connect", used, 0, *other, status=4).errors(), "as many identities")
    require_text(stage.run("connect", revoked, 0, status=4).errors(), "taken this ticket back")


@GROUP.case("allow-list", seconds=60)
def _allow(stage: Stage) -> None:
    """Only the identities on the list come in; who is taken off it has to leave."""
    keys = {name: _key(stage, name) for name in ["anna", "bert", "carl"]}
    path = stage.home / "allow"
    path.write_text(f"# people\n{keys['anna']} anna\n")
    share = stage.share(stage.service(echo).port, "--allow", path, "--allow", keys["bert"])
    runs = {}
    for name in ["anna", "bert"]:
        runs[name] = stage.connect(share.ticket, "--identity", stage.home / name)
        require(_works(runs[name].port), f"{name} does not come in")
    refused = stage.run("connect", share.ticket, 0, "--identity", stage.home / "carl", status=4)
    require_text(
        refused.errors(), "does not let our identity in", f"identity: {keys['carl']}", "fix: ")
    path.write_text(f"{keys['carl']}\n")
    begin = time.monotonic()
    require(runs["anna"].process.wait(LEAVE_SECONDS) == 4, "anna stays")
    print(f"  taken off the list to closed session: {time.monotonic() - begin:.2f} s")
    require_text(runs["anna"].process.errors(), "does not let our identity in")
    carl = stage.connect(share.ticket, "--identity", stage.home / "carl")
    require(_works(carl.port), "carl does not come in")
    # A list that cannot be understood lets nobody new in, and leaves those who are in.
    path.write_text("nonsense\n")
    refused = stage.run("connect", share.ticket, 0, "--identity", stage.home / "bert", status=4)
    require_text(refused.errors(), "cannot look up who may come in now")
    require_line(share.process, "line 1 of .* cannot be understood")
    require(_works(runs["bert"].port) and _works(carl.port), "those who were in had to leave")
    stage.run("share", 1, "--allow", path, status=3)
    stage.run("share", 1, "--allow", stage.home / "none", status=3)


@GROUP.case("damaged-state")
def _damaged(stage: Stage) -> None:
    """A damaged list of tickets is a clear error, and allows nothing by accident."""
    service = stage.service(echo)
    share = stage.share(service.port)
    revoked, good = _make_ticket(stage), _make_ticket(stage)
    stage.run("ticket", "revoke", revoked)
    whole = _state(stage).read_bytes()
    for content in [whole[:-5], whole.replace(b"revoked", b"rewoked"), b"", b"\xff" * 100]:
        _state(stage).write_bytes(content)
        for words in [["make"], ["list"], ["revoke", revoked]]:
            failed = stage.run("ticket", *words, status=3)
            require_text(failed.errors(), "identity.access cannot be understood", "fix: ")
        for ticket in [revoked, good]:
            refused = stage.run("connect", ticket, 0, status=4)
            require_text(refused.errors(), "cannot look up who may come in now")
        require(_works(stage.connect(share.ticket).port), "the plain ticket does not work")
        stage.run("share", service.port, "--listen", "127.0.0.1:0", status=3)
        require(_state(stage).read_bytes() == content, "the damaged file was replaced")
    _state(stage).write_bytes(whole)
    _state(stage).chmod(0o644)
    require_text(stage.run("ticket", "list", status=3).errors(), "chmod 600")
    _state(stage).chmod(0o600)
    require(_works(stage.connect(good).port), "the ticket does not work any more")
    stage.run("connect", revoked, 0, status=4)


@GROUP.case("state-races", seconds=60)
def _races(stage: Stage) -> None:
    """Commands that change the list at the same time lose nothing."""
    stage.share(stage.service(echo).port)
    made: list[str] = []

    def make(label: str) -> None:
        made.append(_make_ticket(stage, "--label", label))

    threads = [threading.Thread(target=make, args=[f"t{number}"]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = stage.run("ticket", "list").output().splitlines()
    require(len(made) == 12 and len(listed) == 12, f"{len(made)} made, {len(listed)} listed")
    left = [name for name in os.listdir(stage.identity.parent) if name.endswith(".new")]
    require(not left, f"left behind: {left}")


@GROUP.case("throttled-failures", seconds=60)
def _throttled(stage: Stage) -> None:
    """Wrong tickets wait longer and longer, are logged once, and slow nobody else down."""
    share = stage.share(stage.service(echo).port)
    forged = share.invitation.replacing(capability=bytes(16)).text
    times = []
    for _ in range(8):
        begin = time.monotonic()
        stage.run("connect", forged, 0, "--carrier", "udp", status=4)
        times.append(time.monotonic() - begin)
    require(times[-1] > times[0] + 0.2, f"the answers do not wait: {times}")
    begin = time.monotonic()
    connect = stage.connect(share.ticket)
    took = time.monotonic() - begin
    require(_works(connect.port) and took < 2, f"the honest peer waits {took:.1f} s")
    lines = re.findall("peer not let in", share.process.errors())
    require(1 <= len(lines) <= 3, f"{len(lines)} lines for one source")


# What the cases share


def _make_ticket(stage: Stage, *options: object) -> str:
    """A ticket with limits, made by the program."""
    return stage.run("ticket", "make", *options).output().strip()


def _state(stage: Stage):
    return stage.identity.with_name("identity.access")


def _key(stage: Stage, name: str) -> str:
    return stage.run("keygen", "--out", stage.home / name).output().strip()


def _works(port: int) -> bool:
    """Whether a new flow to an echoing service carries bytes both ways."""
    try:
        with dial(port) as client:
            client.sendall(b"works")
            receive_exactly(client, 5)
            return True
    except (ConnectionError, TimeoutError, AssertionError):
        return False
