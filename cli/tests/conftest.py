"""What the tests of several rooms share: `sites` beside this file, and the bundle's own images in memory."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[2] / "bundle" / "tests"))

# No deadline: the machine may be busy. The same examples each time: a failure that comes and goes helps nobody.
settings.register_profile("cli", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cli")
