"""The only way from the API server to nodes and Pods that are simulated: to KWOK, and nowhere else.

Simulated Pods have addresses that belong to nobody here. Whoever asks the API server for a Pod's port would
make it send packets to whatever machine has that address outside. The API server sends all such traffic
through this proxy (https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/ describes the
egress selector), which speaks HTTP CONNECT on a Unix socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

REFUSAL = b"HTTP/1.1 403 simulated Pods have no network\r\n\r\n"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def serve(socket_path: Path, allowed: str) -> None:
    """Serve until cancelled.

    Args:
        socket_path: where to listen.
        allowed: the only destination, as HOST:PORT.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode().split()
            if request[:2] != ["CONNECT", allowed]:
                writer.write(REFUSAL)
                return
            host, _, port = allowed.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.write(b"HTTP/1.1 502 nothing answers for the simulated nodes\r\n\r\n")
        finally:
            writer.close()

    socket_path.unlink(missing_ok=True)
    async with await asyncio.start_unix_server(answer, socket_path) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
