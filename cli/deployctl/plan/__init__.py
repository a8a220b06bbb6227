"""Facts → desired: steps, order, bytes, host by host. Pure: computed, shown, then applied."""

from deployctl.plan.model import EDITED, HostPlan, ImageStep, PackagesStep, Plan
from deployctl.plan.packages import engine_of, target_of
from deployctl.plan.plan import plan
from deployctl.plan.record import SCHEMA, record
from deployctl.plan.version import older

__all__ = [
    "EDITED", "SCHEMA", "HostPlan", "ImageStep", "PackagesStep", "Plan", "engine_of", "older", "plan", "record", "target_of",
]  # fmt: skip
