"""iroh in both roles: QUIC from Rust whose peers know each other by raw public keys only.

Prints one JSON object per line: where a server listens and who it is, and how a connection went.
"""

import argparse
import asyncio
import json
import pathlib

import iroh

ALPN = b"hq-interop"
REQUEST_MAX = 4096
FILE_MAX = 64 << 20


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves or fetches files by HTTP/0.9.")
    parser.add_argument("role", choices=["client", "server"])
    parser.add_argument("--seed", required=True, help="of our key, in hexadecimal")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="files, or where they go")
    parser.add_argument("--peer", help="the server's public key, in hexadecimal")
    parser.add_argument("--address", help="the server's address and port")
    parser.add_argument("names", nargs="*")
    return parser.parse_intermixed_args()


def say(**facts) -> None:
    print(json.dumps(facts), flush=True)


async def serve(endpoint: iroh.Endpoint, folder: pathlib.Path) -> None:
    """Every file of one connection after the other, until killed."""
    while True:
        accepting = await (await endpoint.accept_next()).accept()
        try:
            connection = await accepting.connect()
            say(peer=str(connection.remote_id()), alpn=connection.alpn().decode())
            while True:
                stream = await connection.accept_bi()
                request = await stream.recv().read_to_end(REQUEST_MAX)
                name = request.decode().removeprefix("GET /").strip()
                await stream.send().write_all((folder / name).read_bytes())
                await stream.send().finish()
        except iroh.IrohError as error:
            say(ended=error.message())


async def fetch(endpoint: iroh.Endpoint, options: argparse.Namespace) -> None:
    """Raises IrohError where the server is not who it should be, or does not answer."""
    server = iroh.EndpointAddr(
        iroh.EndpointId.from_bytes(bytes.fromhex(options.peer)), None, [options.address])
    connection = await endpoint.connect(server, ALPN)
    say(peer=str(connection.remote_id()), alpn=connection.alpn().decode())
    for name in options.names:
        stream = await connection.open_bi()
        await stream.send().write_all(f"GET /{name}\r\n".encode())
        await stream.send().finish()
        (options.folder / name).write_bytes(await stream.recv().read_to_end(FILE_MAX))
    connection.close(0, b"")
    await endpoint.close()


async def main() -> None:
    options = parse()
    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())
    # Nothing but this machine: no relay, no lookup of addresses.
    endpoint = await iroh.Endpoint.bind(iroh.EndpointOptions(
        preset=iroh.preset_minimal(), bind_addr="127.0.0.1:0", alpns=[ALPN],
        secret_key=bytes.fromhex(options.seed), relay_mode=iroh.RelayMode.disabled()))
    if options.role == "client":
        return await fetch(endpoint, options)
    local = next(one for one in endpoint.bound_sockets() if one.startswith("127."))
    say(port=int(local.rsplit(":", 1)[1]), key=endpoint.id().to_bytes().hex())
    await serve(endpoint, options.folder)


asyncio.run(main())
