"""gap.py ADDRESS PORT SECONDS: a new connection every 10 ms; how many failed, and the longest time without an answer."""
import socket, sys, time
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
start = last = time.monotonic()
tried = failed = 0
worst = 0.0
seen = {}
while time.monotonic() - start < seconds:
    tried += 1
    try:
        with socket.create_connection((host, port), 0.5) as s:
            s.settimeout(0.5)
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            if not s.recv(999).startswith(b"HTTP/1.1 200"):
                raise OSError("empty")
        worst, last = max(worst, time.monotonic() - last), time.monotonic()
    except OSError as e:
        failed += 1
        seen[e.strerror or str(e)] = seen.get(e.strerror or str(e), 0) + 1
    time.sleep(0.01)
worst = max(worst, time.monotonic() - last)
print(f"{tried} tried, {failed} failed, longest gap {worst:.2f} s {seen or ''}")
