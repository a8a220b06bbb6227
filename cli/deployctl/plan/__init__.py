"""Facts → desired: steps, order, bytes, host by host. Pure: computed, shown, then applied."""

from deployctl.plan.model import EDITED, HostPlan, ImageStep, Plan
from deployctl.plan.plan import plan
from deployctl.plan.record import SCHEMA, record
from deployctl.plan.version import older

__all__ = ["EDITED", "SCHEMA", "HostPlan", "ImageStep", "Plan", "older", "plan", "record"]
