"""Real HTTP servers on loopback, that answer what a test wants, however wrong."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


Answering = Callable[[Asked], bytes | Awaitable[bytes]]


@dataclass
class Server:
    port: int
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def answer(content: object, status: str = "200 OK", packed: bool = False, **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    body = gzip.compress(body) if packed else body
    lines = {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    lines |= {"Content-Encoding": "gzip"} if packed else {}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return f"HTTP/1.1 {status}\r\n".encode() + b"".join(f"{n}: {v}\r\n".encode() for n, v in lines.items()) + b"\r\n" + body


async def read_request(reader: asyncio.StreamReader, peer: str) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body, peer)


@asynccontextmanager
async def serving_http(
    answering: Answering, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await read_request(reader, writer.get_extra_info("peername")[0]):
                server.asked.append(asked)
                content = answering(asked)
                writer.write(content if isinstance(content, bytes) else await content)
                await writer.drain()
                if b"Content-Length" not in (content if isinstance(content, bytes) else b""):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def make_certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for `name`, and the file of the authority that vouches for it."""
    for line in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"
        " -addext keyUsage=critical,keyCertSign",
        f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=server -addext subjectAltName=DNS:{name}"
        " -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out server.pem",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, folder / "ca.pem"
