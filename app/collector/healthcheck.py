"""Docker's health checks, without curl: is the API ready, is the worker alive?

Runs every few seconds, so it imports the standard library only.
"""

import http.client
import os
import sys
import time
from pathlib import Path

FRESH_SECONDS = 60


def api(port: int, path: str) -> str | None:
    """None when well, else the reason."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace")
        return None if answer.status == 200 else f"{path}: {answer.status}: {body}"
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {error}"
    finally:
        connection.close()


def worker(heartbeat: Path, now: float) -> str | None:
    try:
        age = now - heartbeat.stat().st_mtime
    except OSError as error:
        return f"no heartbeat: {error}"
    return None if age < FRESH_SECONDS else f"the last heartbeat is {age:.0f} s old"


def check(what: str) -> str | None:
    if what == "worker":
        return worker(Path(os.environ.get("COLLECTOR_HEARTBEAT_FILE", "/tmp/collector-worker.alive")), time.time())
    port = int(os.environ.get("COLLECTOR_LISTEN_PORT", "8000"))
    return api(port, "/health/ready" if what == "api" else "/health/live")


def main(what: str = "api") -> None:
    reason = check(what)
    sys.stdout.write(f"{reason or 'ok'}\n")
    sys.exit(1 if reason else 0)


if __name__ == "__main__":
    main(*sys.argv[1:2])
