"""GET one URL over so many kept connections for so many seconds: `python load.py PORT PATH KEY CONNECTIONS SECONDS` -> JSON."""

import asyncio
import json
import statistics
import sys
import time


class Caller(asyncio.Protocol):
    def __init__(self, request: bytes, times: list[float], until: float, done: "asyncio.Future[None]") -> None:
        self.request, self.times, self.until, self.done = request, times, until, done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(head.decode()))
            return
        self.buffer = b""
        self.times.append(time.perf_counter() - self.began)
        if time.perf_counter() < self.until:
            self.ask()
        else:
            self.transport.close()
            self.done.set_result(None)


async def main(port: int, path: str, key: str, connections: int, seconds: float) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    loop, times, begun = asyncio.get_running_loop(), list[float](), time.perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: Caller(request, times, begun + seconds, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    cuts = statistics.quantiles(times, n=100)
    rate = len(times) / (time.perf_counter() - begun)
    print(json.dumps({"rate": rate, "p50": cuts[49] * 1000, "p95": cuts[94] * 1000, "p99": cuts[98] * 1000}))  # noqa: T201


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
