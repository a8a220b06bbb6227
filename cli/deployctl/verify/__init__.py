"""Preflight, health and flows: what must hold before, and what is proven after."""

from deployctl.verify.ahead import FlowsBlocked, Tried, blocked, try_ahead
from deployctl.verify.flows import ABSENT, FlowsBroken, FlowVerdict, absent_callers, broken, try_flows
from deployctl.verify.health import ServiceHealth, health, unrecorded
from deployctl.verify.preflight import engine_lost_rules, mib, preflight
from deployctl.verify.problems import PreflightFailed
from deployctl.verify.warnings import warnings

__all__ = [
    "ABSENT", "FlowVerdict", "FlowsBlocked", "FlowsBroken", "PreflightFailed", "ServiceHealth", "Tried", "absent_callers",
    "blocked", "broken", "engine_lost_rules", "health", "mib", "preflight", "try_ahead", "try_flows", "unrecorded",
    "warnings",
]  # fmt: skip
