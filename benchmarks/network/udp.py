"""udp.py ADDRESS PORT SECONDS: one UDP socket that never falls silent; who answers, and when it changes."""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3); s.connect((sys.argv[1], int(sys.argv[2])))
start, who, lost = time.monotonic(), None, 0
while time.monotonic() - start < float(sys.argv[3]):
    try:
        s.send(b"x"); new = s.recv(99).decode()
    except OSError as e:
        new = "none"; lost += 1
    if new != who:
        who = new; print("%.1f s: %s" % (time.monotonic() - start, who), flush=True)
    time.sleep(0.02)
print("lost", lost)
