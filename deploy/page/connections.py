"""HTTP connections to the page: whoever has not shown a token must not shut it by holding many of them open."""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

OF_ONE_ADDRESS: Final = 64  # a browser opens six; the WebSockets of open pages are not among them
SILENT_S: Final = 10.0


class Connection(H11Protocol):
    """One that is closed when it asks for nothing, or when its address has many already."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take it in, if it is not one too many."""
        super().connection_made(transport)
        address = self.client and self.client[0]
        others = (one for one in self.connections if isinstance(one, Connection))
        if sum((one.client and one.client[0]) == address for one in others) > OF_ONE_ADDRESS:
            transport.abort()
        else:
            self.loop.call_later(SILENT_S, self._look, None)

    def _look(self, before: RequestResponseCycle | None) -> None:
        """Close it if nothing was asked since the last look."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # over, or a WebSocket by now
        quiet = before is None or before.response_complete
        if quiet and self.cycle is before:
            self.transport.close()
        else:
            self.loop.call_later(SILENT_S, self._look, self.cycle)
