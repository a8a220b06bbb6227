"""probe.py ADDRESS PORT [udp]: open, refused, or silent; what a caller would see within a second."""
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[3:] == ["udp"] else socket.SOCK_STREAM
try:
    addr = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=kind)[0]
    with socket.socket(addr[0], kind) as s:
        s.settimeout(1)
        s.connect(addr[4])
        if kind == socket.SOCK_DGRAM:
            s.send(b"x")
            print("open", s.recv(99).decode())
        else:
            print("open")
except TimeoutError:
    print("silent")
except OSError as e:
    print("refused", e.strerror)
