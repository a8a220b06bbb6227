"""Facts → desired: steps, order, bytes, host by host. Pure: computed, shown, then applied."""

from deployctl.plan.images import held
from deployctl.plan.leave import leaving, volumes_of
from deployctl.plan.model import CUT_OFF, EDITED, HostPlan, ImageStep, Leave, PackagesStep, Plan
from deployctl.plan.owned import Owned, owned
from deployctl.plan.packages import engine_of, target_of
from deployctl.plan.plan import plan
from deployctl.plan.record import SCHEMA, RecordDamaged, RecordTooNew, read_record, record
from deployctl.plan.version import older

__all__ = [
    "CUT_OFF", "EDITED", "SCHEMA", "HostPlan", "ImageStep", "Leave", "Owned", "PackagesStep", "Plan",
    "RecordDamaged", "RecordTooNew", "engine_of", "held", "leaving", "older", "owned", "plan", "read_record", "record",
    "target_of",
    "volumes_of",
]  # fmt: skip
