"""What crosses a tunnel, and how each side's ending and slowness reach the other."""

import hashlib
import socket
import threading
import time

from cli.group import Group
from cli.sockets import (
    PIECE, dial, echo, ending, free_tcp_port, pattern, receive_exactly, receive_to_end,
    reset)
from cli.stage import Stage, end, require_line, require_text
from harness.process import Process
from harness.suite import Failure, require

GROUP = Group("data")
MIB = 1 << 20
BULK = 50_000_000
# What the test's own sockets may hold, so that what is stalled is held by the program.
SMALL_BUFFER = 64 * 1024
# The stream's window and limit, and the kernel's buffers of the program's two TCP sockets.
STALLED_MAX = 16 * MIB
# Of that, what may stand in a process: the flow's own buffers, and the pools that they come from.
STALLED_MEMORY_MAX = 8 * MIB


@GROUP.case("echo-64-bytes")
def _echo(stage: Stage) -> None:
    tunnel = stage.tunnel(echo)
    sent = pattern(1, 64)
    with dial(tunnel.port) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = receive_to_end(client)
    require(received == sent, f"sent {sent.hex()}, received {received.hex()}")
    require(tunnel.service.outcome() == 64, "the service saw another number of bytes")


@GROUP.case("upload-50-mb", seconds=60)
def _upload(stage: Stage) -> None:
    def digest(connection: socket.socket) -> int:
        value, count = hashlib.sha256(), 0
        while piece := connection.recv(PIECE):
            value.update(piece)
            count += len(piece)
        connection.sendall(value.digest())
        return count

    tunnel = stage.tunnel(digest)
    sent = pattern(2, BULK)
    with dial(tunnel.port) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = receive_to_end(client)
    require(tunnel.service.outcome() == BULK, "the service saw another number of bytes")
    require(received == hashlib.sha256(sent).digest(), "the bytes differ")


@GROUP.case("download-50-mb", seconds=60)
def _download(stage: Stage) -> None:
    sent = pattern(3, BULK)

    def serve(connection: socket.socket) -> None:
        require(receive_exactly(connection, 3) == b"get", "the request differs")
        connection.sendall(sent)

    tunnel = stage.tunnel(serve)
    with dial(tunnel.port) as client:
        client.sendall(b"get")
        received = receive_to_end(client)
    tunnel.service.outcome()
    require(len(received) == BULK, f"{len(received)} of {BULK} bytes arrived")
    require(hashlib.sha256(received).digest() == hashlib.sha256(sent).digest(), "bytes differ")


@GROUP.case("both-ways-at-once", seconds=60)
def _both_ways(stage: Stage) -> None:
    """Neither direction of a flow waits for the other."""
    tunnel = stage.tunnel(echo)
    sent = pattern(4, BULK // 2)
    with dial(tunnel.port) as client:
        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        received = receive_to_end(client)
        sender.join()
    require(hashlib.sha256(received).digest() == hashlib.sha256(sent).digest(), "bytes differ")


@GROUP.case("200-flows", seconds=60)
def _many_flows(stage: Stage) -> None:
    """All are open at once, and none gets another's bytes."""
    tunnel = stage.tunnel(echo)
    clients = [dial(tunnel.port) for _ in range(200)]
    for half in range(2):
        parts = [pattern(1000 * half + number, 20_000 + number) for number in range(200)]
        for client, part in zip(clients, parts):
            client.sendall(part)
        # The other way round, so that answers wait for each other in no helpful order.
        for number in reversed(range(200)):
            received = receive_exactly(clients[number], len(parts[number]))
            require(received == parts[number], f"flow {number} got other bytes than it sent")
    for client in clients:
        client.shutdown(socket.SHUT_WR)
    for number, client in enumerate(clients):
        require(receive_to_end(client) == b"", f"flow {number} got too many bytes")
        client.close()
    status = end(tunnel.connect.process, 15)
    require(status == 0, f"connect ended with {status}")
    require_text(tunnel.connect.process.errors(), "done: 200 flows, ")


@GROUP.case("half-close-by-client")
def _half_close_by_client(stage: Stage) -> None:
    """The service still answers a client that has finished sending."""
    answer = pattern(5, 2 * MIB)

    def serve(connection: socket.socket) -> bytes:
        request = receive_to_end(connection)
        # Long enough for a FIN that ends both directions to have done so.
        time.sleep(0.3)
        connection.sendall(answer)
        return request

    tunnel = stage.tunnel(serve)
    request = pattern(6, 300_000)
    with dial(tunnel.port) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        received = receive_to_end(client)
    require(tunnel.service.outcome() == request, "the request differs")
    require(received == answer, f"{len(received)} of {len(answer)} bytes answered")


@GROUP.case("early-client")
def _early_client(stage: Stage) -> None:
    """A client that came, spoke and finished before the session was open is served as well."""
    service = stage.service(echo)
    share = stage.share(service.port)
    port = free_tcp_port()
    for _ in range(5):
        connect = stage.start("connect", share.ticket, port)
        with socket.socket() as client:
            client.settimeout(5)
            deadline = time.monotonic() + 5
            while client.connect_ex(("127.0.0.1", port)) != 0 and time.monotonic() < deadline:
                pass
            client.sendall(b"early")
            client.shutdown(socket.SHUT_WR)
            require(receive_to_end(client) == b"early", "the answer differs")
        require(end(connect, 15) == 0, f"connect ended with {connect.status}")


@GROUP.case("half-close-by-service")
def _half_close_by_service(stage: Stage) -> None:
    """A client still sends to a service that has finished sending."""
    greeting = pattern(7, 300_000)

    def serve(connection: socket.socket) -> bytes:
        first = receive_exactly(connection, 1)
        connection.sendall(greeting)
        connection.shutdown(socket.SHUT_WR)
        return first + receive_to_end(connection)

    tunnel = stage.tunnel(serve)
    rest = pattern(8, 2 * MIB)
    with dial(tunnel.port) as client:
        client.sendall(b"?")
        received = receive_to_end(client)
        require(received == greeting, f"{len(received)} of {len(greeting)} bytes arrived")
        time.sleep(0.3)
        client.sendall(rest)
        client.shutdown(socket.SHUT_WR)
        require(tunnel.service.outcome() == b"?" + rest, "what followed the FIN differs")


@GROUP.case("service-speaks-first")
def _service_first(stage: Stage) -> None:
    """A flow reaches the service before the client has sent anything."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        share = stage.share(listener.getsockname()[1])
        listener.settimeout(5)
        probe, _ = listener.accept()
        probe.close()
        connect = stage.connect(share.ticket)
        with dial(connect.port) as client:
            service, _ = listener.accept()
            with service:
                service.sendall(b"220 ready")
                require(receive_exactly(client, 9) == b"220 ready", "the greeting differs")


@GROUP.case("reset-by-client")
def _reset_by_client(stage: Stage) -> None:
    """RST is not FIN: the service must not take a cut-off request for a whole one."""
    def serve(connection: socket.socket) -> str:
        connection.sendall(receive_exactly(connection, 1))
        return ending(connection)

    tunnel = stage.tunnel(serve)
    for rest in [b"", pattern(9, 200_000)]:
        client = dial(tunnel.port)
        client.sendall(b"x")
        receive_exactly(client, 1)
        client.sendall(rest)
        reset(client)
        seen = tunnel.service.outcome()
        require(seen == "RST", f"the service sees {seen} after {len(rest)} bytes")


@GROUP.case("reset-by-service")
def _reset_by_service(stage: Stage) -> None:
    def serve(connection: socket.socket) -> None:
        count = receive_exactly(connection, 1)[0]
        connection.sendall(bytes(count * 1000))
        reset(connection)

    tunnel = stage.tunnel(serve)
    for count in [0, 200]:
        with dial(tunnel.port) as client:
            client.sendall(bytes([count]))
            seen = ending(client)
            require(seen == "RST", f"the client sees {seen} after {count * 1000} bytes")


@GROUP.case("reset-while-stalled")
def _reset_while_stalled(stage: Stage) -> None:
    """A client that vanishes is noticed also while the service reads nothing."""
    proceed = threading.Event()

    def serve(connection: socket.socket) -> str:
        proceed.wait(20)
        return ending(connection)

    tunnel = stage.tunnel(serve, "-v", receive_buffer=SMALL_BUFFER)
    client = dial(tunnel.port, send_buffer=SMALL_BUFFER)
    _send_until_stalled(client, STALLED_MAX)
    reset(client)
    require_line(tunnel.connect.process, "flow ended.*reset by the local program")
    require_line(tunnel.share.process, "flow ended.*reset by the peer's program")
    proceed.set()
    seen = tunnel.service.outcome()
    require(seen == "RST", f"the service sees {seen}")


@GROUP.case("service-leaves-unread")
def _service_leaves_unread(stage: Stage) -> None:
    """A service that closes without reading everything resets the client, as without a tunnel."""
    def serve(connection: socket.socket) -> None:
        receive_exactly(connection, 10)
        time.sleep(0.2)

    tunnel = stage.tunnel(serve)
    with dial(tunnel.port) as client:
        client.sendall(pattern(10, 100_000))
        seen = ending(client)
    require(seen == "RST", f"the client sees {seen}")


@GROUP.case("slow-service", seconds=40)
def _slow_service(stage: Stage) -> None:
    """A client stalls while the service does not read, and loses nothing when it does.

    Another flow of the same session goes on meanwhile.
    """
    proceed = threading.Event()
    is_stalled = threading.Event()

    def serve(connection: socket.socket) -> str | int:
        if is_stalled.is_set():
            return echo(connection)
        proceed.wait(30)
        return hashlib.sha256(receive_to_end(connection)).hexdigest()

    tunnel = stage.tunnel(serve, receive_buffer=SMALL_BUFFER)
    before = _memory(tunnel.connect.process, tunnel.share.process)
    with dial(tunnel.port, send_buffer=SMALL_BUFFER) as client:
        sent = _send_until_stalled(client, STALLED_MAX)
        _require_memory(before, tunnel.connect.process, tunnel.share.process)
        is_stalled.set()
        beside = pattern(12, 5 * MIB)
        with dial(tunnel.port) as other:
            threading.Thread(target=other.sendall, args=[beside], daemon=True).start()
            require(receive_exactly(other, len(beside)) == beside, "the flow beside it differs")
        require(tunnel.service.outcome() == len(beside), "the flow beside it differs")
        proceed.set()
        client.sendall(sent[:1000])
        client.shutdown(socket.SHUT_WR)
        require(
            tunnel.service.outcome() == hashlib.sha256(sent + sent[:1000]).hexdigest(),
            "the bytes differ after a stall")


@GROUP.case("slow-client", seconds=40)
def _slow_client(stage: Stage) -> None:
    """A service stalls while the client does not read, and loses nothing when it does."""
    stalled: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        receive_exactly(connection, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        stalled.append(_send_until_stalled(connection, STALLED_MAX))
        connection.sendall(b"end")

    tunnel = stage.tunnel(serve)
    before = _memory(tunnel.connect.process, tunnel.share.process)
    with dial(tunnel.port, receive_buffer=SMALL_BUFFER) as client:
        client.sendall(b"?")
        deadline = time.monotonic() + 20
        while not stalled and time.monotonic() < deadline:
            time.sleep(0.05)
        require(bool(stalled), "the service does not stall")
        _require_memory(before, tunnel.connect.process, tunnel.share.process)
        received = receive_to_end(client)
    tunnel.service.outcome()
    require(received == stalled[0] + b"end", "the bytes differ after a stall")


@GROUP.case("service-absent")
def _service_absent(stage: Stage) -> None:
    """A reset, not an empty answer; and the service may be started at any time afterwards."""
    port = free_tcp_port()
    share = stage.share(port)
    require_line(share.process, "warning .*shared service does not answer yet.*fix=")
    connect = stage.connect(share.ticket)
    for _ in range(2):
        with dial(connect.port) as client:
            require(_sees_refusal(client), "the client sees an empty answer")
    for process in [share.process, connect.process]:
        require_line(
            process, "warning .*flow failed.*nothing listens at the shared service.*fix=.*start")
    service = stage.service(echo, port=port)
    with dial(connect.port) as client:
        client.sendall(b"now")
        client.shutdown(socket.SHUT_WR)
        require(receive_to_end(client) == b"now", "the service that came later is not reached")
    service.outcome()
    service.close()
    require(end(connect.process, 15) == 0, "some flows succeeded, so the status is 0")


@GROUP.case("target-refused-status")
def _target_refused(stage: Stage) -> None:
    """A run in which the service was never there ends with a status of its own."""
    share = stage.share(free_tcp_port())
    connect = stage.connect(share.ticket)
    with dial(connect.port) as client:
        require(_sees_refusal(client), "the client sees an empty answer")
    require_line(connect.process, "flow failed")
    status = end(connect.process, 15)
    require(status == 7, f"connect ended with {status}")


def _sees_refusal(client: socket.socket) -> bool:
    """Whether the connection ends by RST, also if that comes before the request has left."""
    try:
        client.sendall(b"request")
        return ending(client) == "RST"
    except (ConnectionResetError, BrokenPipeError):
        return True


def _send_until_stalled(connection: socket.socket, bytes_max: int) -> bytes:
    """Sends until nothing was taken for a second; returns what was taken, which has a limit."""
    data = pattern(11, bytes_max)
    sent = 0
    connection.settimeout(1)
    try:
        while sent < len(data):
            sent += connection.send(data[sent:sent + PIECE])
    except TimeoutError:
        connection.settimeout(20)
        return data[:sent]
    raise Failure(f"{sent} bytes went into a tunnel whose other end reads nothing")


def _memory(*processes: Process) -> list[int]:
    return [process.resident_bytes for process in processes]


def _require_memory(before: list[int], *processes: Process) -> None:
    for process, old in zip(processes, before):
        growth = process.resident_bytes - old
        require(
            growth < STALLED_MEMORY_MAX,
            f"a stalled flow costs {process.name} {growth // 1024} KiB")
