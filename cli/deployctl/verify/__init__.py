"""Preflight, health and flows: what must hold before, and what is proven after."""

from deployctl.verify.flows import FlowVerdict, try_flows
from deployctl.verify.health import ServiceHealth, health
from deployctl.verify.preflight import PreflightFailed, Problem, from_error, mib, preflight

__all__ = [
    "FlowVerdict", "PreflightFailed", "Problem", "ServiceHealth", "from_error", "health", "mib", "preflight", "try_flows",
]  # fmt: skip
