"""Answer on one port, TCP and UDP: an HTTP request gets a page that repeats it as JSON, anything else comes back as it is."""

import json
import socketserver
import sys
import threading

METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ")


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline(65536)
        sys.stdout.write(f"{self.client_address[0]} {line[:200]!r}\n")
        sys.stdout.flush()
        if line.startswith(METHODS):
            self.http(line)
            return
        while line:
            self.wfile.write(line)
            line = self.rfile.readline(65536)

    def http(self, line):
        headers, length = {}, 0
        while header := self.rfile.readline(65536).strip():
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length") or 0)
        body = self.rfile.read(min(length, 1 << 20)).decode("utf-8", "replace")
        method, target, *_ = line.decode("latin-1").split()
        answer = {"method": method, "target": target, "caller": self.client_address[0], "headers": headers, "body": body}
        data = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(data)
        self.wfile.write(head + (b"" if method == "HEAD" else data))


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


port = int(sys.argv[1])
threading.Thread(target=socketserver.ThreadingUDPServer(("", port), Udp).serve_forever, daemon=True).start()
TcpServer(("", port), Tcp).serve_forever()
