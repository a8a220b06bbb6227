"""A guest book over HTTP, kept in Redis. The standard library only.

GET / shows the entries, POST / with the form field `entry` adds one, GET /health asks the store.
"""

import html
import os
import signal
import socket
import sys
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TITLE = os.environ.get("GUESTBOOK_TITLE", "Guest book")
LONGEST = int(os.environ.get("GUESTBOOK_LONGEST_ENTRY", "500"))
STORE = os.environ.get("STORE", "store:6379")


def ask_store(*words: str) -> object:
    """One command in Redis' protocol (RESP2), one answer."""
    host, port = STORE.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        parts = [word.encode() for word in words]
        connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        with connection.makefile("rb") as answer:
            return read_answer(answer)


def read_answer(answer):
    kind, value = (line := answer.readline().rstrip(b"\r\n"))[:1], line[1:]
    if kind == b"$":
        return answer.read(int(value) + 2)[:-2].decode()
    if kind == b"*":
        return [read_answer(answer) for _ in range(int(value))]
    if kind in b"+:" and kind:
        return value.decode()
    raise OSError(f"the store answers {line!r}")


def page(entries: list[str]) -> str:
    items = "".join(f"<li>{html.escape(entry)}</li>" for entry in entries)
    title = html.escape(TITLE)
    form = '<form method="post"><input name="entry" autofocus><button>Sign</button></form>'
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{form}<ul>{items}</ul>\n"


class Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        try:
            if self.path == "/health":
                self.answer(200, f"{ask_store('PING')}\n")
            elif self.path == "/":
                self.answer(200, page(ask_store("LRANGE", "entries", "0", "99")))
            else:
                self.answer(404, "There is no such page.\n")
        except OSError as error:
            self.answer(503, f"The store does not answer: {error}\n")

    def do_POST(self) -> None:
        size = min(int(self.headers.get("Content-Length", 0)), 4 * LONGEST + 6)
        entry = urllib.parse.parse_qs(self.rfile.read(size).decode(errors="replace")).get("entry", [""])[0].strip()
        try:
            if entry:
                ask_store("LPUSH", "entries", entry[:LONGEST])
            self.answer(303, "", Location="/")
        except OSError as error:
            self.answer(503, f"The store does not answer: {error}\n")


def check() -> None:
    urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=2).read()


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        check()
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        ThreadingHTTPServer(("", 8080), Handler).serve_forever()
