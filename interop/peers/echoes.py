"""A TCP and a UDP service that send everything back, apart from the process that measures: whoever
floods them takes nothing of its time.

    python3 interop/peers/echoes.py

Prints the ports of both as one JSON object, and serves until it is ended.
"""

import asyncio
import json

PIECE = 1 << 16


class Answering(asyncio.DatagramProtocol):
    """Sends datagrams back; those that the kernel has no room for are lost."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, source: tuple) -> None:
        if self._transport.get_write_buffer_size() < PIECE:
            self._transport.sendto(data, source)


async def send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(send_back, "127.0.0.1", 0, backlog=1024)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    ports = {
        "tcp": server.sockets[0].getsockname()[1], "udp": transport.get_extra_info("sockname")[1]}
    print(json.dumps(ports), flush=True)
    await server.serve_forever()


asyncio.run(main())
