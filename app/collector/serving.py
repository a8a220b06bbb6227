"""uvicorn, and how it stops.

After SIGTERM it goes on accepting for `linger_seconds`, but tells every caller to close: a proxy that keeps connections open
lets go of them before they are shut. Then uvicorn's own way: no new connections, idle ones are closed, open requests finish.
"""

import asyncio
import gc
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from collector import logs
from collector.settings import Settings

log = logs.get("collector.api")


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, draining: asyncio.Event, linger_seconds: float) -> None:
        super().__init__(config)
        self.draining, self.linger = draining, linger_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at all of it again and again

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal does not wait."""
        if sig == signal.SIGINT or self.draining.is_set() or not self.started:
            super().handle_exit(sig, frame)
            return
        self.draining.set()
        log.info("draining", seconds=self.linger)
        asyncio.get_running_loop().call_later(self.linger, super().handle_exit, sig, frame)


def run(app: FastAPI, settings: Settings) -> None:
    config = uvicorn.Config(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips="*",  # only nginx reaches the API; the address serves to limit strangers, nothing else
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    Server(config, app.state.draining, settings.linger_seconds).run()
