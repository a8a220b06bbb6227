"""What each host shall have: release × site × secrets, rendered. Pure."""

from deployctl.desired.laptop import render_laptop
from deployctl.desired.model import Desired, File, HostDesired, Migration, Probe, ServiceDesired
from deployctl.desired.sources import Sources
from deployctl.desired.state import HASH_LABEL, desired

__all__ = [
    "HASH_LABEL",
    "Desired",
    "File",
    "HostDesired",
    "Migration",
    "Probe",
    "ServiceDesired",
    "Sources",
    "desired",
    "render_laptop",
]
