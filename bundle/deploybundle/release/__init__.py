"""What compose.yaml says: loaded by Compose's own binary, typed, validated."""

from .files import project_files, prove_complete
from .load import image_name, load
from .model import ANY, Flow, Port, Release, Service
from .problems import ComposeMissing, ComposeRefused, Problem, ProfileUnknown, ReleaseInvalid
from .schema import ReleaseSpec, SecretSpec, ServiceSpec

__all__ = [
    "ANY",
    "ComposeMissing",
    "ComposeRefused",
    "Flow",
    "Port",
    "Problem",
    "ProfileUnknown",
    "Release",
    "ReleaseInvalid",
    "ReleaseSpec",
    "SecretSpec",
    "Service",
    "ServiceSpec",
    "image_name",
    "load",
    "project_files",
    "prove_complete",
]
