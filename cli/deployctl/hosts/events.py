"""Events of a run as lines of JSON, appended to the file that the environment names. Ansible's workers write them, too."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

EVENTS = "DEPLOYCTL_EVENTS"


def emit(event: Mapping[str, Any]) -> None:
    """Append one event; nothing where nobody listens. O_APPEND keeps the lines of several processes apart."""
    path = os.environ.get(EVENTS)
    if path:
        line = json.dumps({**event, "time": time.time()}, default=str) + "\n"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
