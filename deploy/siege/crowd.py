"""A thousand clients that connect to the broker at once, say nothing, and go."""

import asyncio
import contextlib
from typing import Final

CLIENTS: Final = 1000
CONNECT_WITHIN_S: Final = 20.0
_DISCONNECT: Final = b"\xe0\x00"


def crowd(port: int, for_s: float, clients: int = CLIENTS) -> int:
    """Connect so many clients at once, stay for a while, leave; return how many the broker let in."""
    return asyncio.run(_all(port, for_s, clients))


async def _all(port: int, for_s: float, clients: int) -> int:
    return sum(await asyncio.gather(*(_one(port, for_s, number) for number in range(clients))))


async def _one(port: int, for_s: float, number: int) -> bool:
    """One client; whatever becomes of it, the others go on."""
    writer = None
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_connect(f"crowd-{number}"))
            answer = await reader.readexactly(4)
        await asyncio.sleep(for_s)
        writer.write(_DISCONNECT)
        await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False  # the broker may be killed at any time
    else:
        return answer[3] == 0
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _connect(client_id: str) -> bytes:
    """CONNECT of MQTT 3.1.1 with a clean session; under 128 bytes, so its length is one byte."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    return b"\x10" + bytes((len(body),)) + body
