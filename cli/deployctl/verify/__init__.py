"""Preflight, health and flows: what must hold before, and what is proven after."""

from deployctl.verify.flows import FlowVerdict, try_flows
from deployctl.verify.health import ServiceHealth, health
from deployctl.verify.preflight import mib, preflight
from deployctl.verify.problems import PreflightFailed

__all__ = ["FlowVerdict", "PreflightFailed", "ServiceHealth", "health", "mib", "preflight", "try_flows"]
