"""An HTTP proxy for CONNECT, honest or not."""

import base64
import contextlib
import select
import socket
import threading

HEAD_MAX = 65536


class Proxy:
    """Serves on a thread of its own; `requests` holds the heads that it got.

    `manner` is what it does: `honest`, `silent`, `closing`, `garbage`, `endless`, or a status line to
    refuse with. With `credentials` the honest one answers 407 to whoever has others, with `ports` 403
    to whoever asks for another port.
    """

    def __init__(
        self, manner: str = "honest", credentials: str | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0), ports: set[int] | None = None,
    ) -> None:
        self.requests: list[str] = []
        self._manner = manner
        self._credentials = credentials
        self._ports = ports
        self._listener = socket.create_server(address)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head and len(head) < HEAD_MAX:
                if not (piece := client.recv(4096)):
                    return
                head += piece
            self.requests.append(head.decode())
            self._answer(client, head.decode())

    def _answer(self, client: socket.socket, head: str) -> None:
        match self._manner:
            case "honest":
                self._connect(client, head)
            case "silent":
                client.recv(1)
            case "closing":
                return
            case "garbage":
                client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
                client.recv(1)
            case "endless":
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    client.sendall(b"X-Filler: " + bytes([97]) * 1000 + b"\r\n")
            case status:
                client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    def _connect(self, client: socket.socket, head: str) -> None:
        if self._credentials is not None:
            expected = base64.b64encode(self._credentials.encode()).decode()
            if f"Proxy-Authorization: Basic {expected}\r\n" not in head:
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n')
                return
        host, port = head.split(" ")[1].rsplit(":", 1)
        if self._ports is not None and int(port) not in self._ports:
            client.sendall(b"HTTP/1.1 403 Forbidden port\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            server = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _relay(client, server)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Passes bytes both ways until both sides have ended."""
    peers = {one: other, other: one}
    while peers:
        for end in select.select(list(peers), [], [])[0]:
            data = end.recv(1 << 16)
            if data:
                (other if end is one else one).sendall(data)
            else:
                with contextlib.suppress(OSError):
                    peers[end].shutdown(socket.SHUT_WR)
                del peers[end]

