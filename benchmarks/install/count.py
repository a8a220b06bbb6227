"""A pipe that counts: runs a program between ssh and the host, as ssh's ProxyCommand. What passes is what is on the wire.

count.py FILE PROGRAM...: FILE holds two numbers, the bytes to the host and the bytes back, as long as it runs and after.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading


def relay(source: int, target: int, counter: int, place: int) -> None:
    """Pass on, and add to the number at this place of the counter's file."""
    total = struct.unpack("<Q", os.pread(counter, 8, place))[0]
    while chunk := os.read(source, 1 << 16):
        total += len(chunk)
        os.pwrite(counter, struct.pack("<Q", total), place)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
    os.close(target)


def main() -> None:
    """Count from what the file says already: one connection may follow another."""
    counter = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
    if os.fstat(counter).st_size < 16:
        os.pwrite(counter, bytes(16), 0)
    with subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        back = threading.Thread(target=relay, args=(process.stdout.fileno(), 1, counter, 8), daemon=True)
        back.start()
        relay(0, os.dup(process.stdin.fileno()), counter, 0)
        process.stdin.close()
        back.join()


if __name__ == "__main__":
    main()
