"""What the tests of several rooms share: `sites` beside this file, and the bundle's own images in memory."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bundle" / "tests"))
