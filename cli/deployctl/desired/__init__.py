"""What each host shall have: release × site × secrets, rendered. Pure."""

from deployctl.desired.answers import own_answers, settings_of
from deployctl.desired.around import Around, PoolOverlaps, around, proposal
from deployctl.desired.laptop import render_laptop
from deployctl.desired.model import Desired, File, HostDesired, Migration, Probe, ServiceDesired
from deployctl.desired.sources import Sources
from deployctl.desired.state import HASH_LABEL, desired

__all__ = [
    "HASH_LABEL",
    "Around",
    "Desired",
    "File",
    "HostDesired",
    "PoolOverlaps",
    "Migration",
    "Probe",
    "ServiceDesired",
    "Sources",
    "around",
    "desired",
    "own_answers",
    "proposal",
    "settings_of",
    "render_laptop",
]
