"""What would let a container out of its confinement, and so past its flows: refused, each with the way out."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .problems import Problem
from .raw import listed, mapping

DEFAULT = """
AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT
"""
"""Docker's own default set (moby, oci/caps/defaults.go). NET_RAW is in it: a service has a bridge of its own, where a forged
ARP answer meets nobody, and the table drops each packet whose source is not the service's (decision 3)."""
CAPABILITIES = frozenset(
    [*DEFAULT.split(), "IPC_LOCK", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "NET_BROADCAST", "SYS_NICE", "SYS_RESOURCE"]
)
"""What `cap_add` may name. Of the others some reach the host (SYS_MODULE, SYS_RAWIO), some its processes and firewall."""
DEVICES = re.compile(
    r"/dev/(tty(S|USB|ACM|AMA)[0-9]+|serial/.+|bus/usb(/.+)?|usb/.+|dri(/.+)?|kfd|nvidia.*|accel(/.+)?|snd(/.+)?|video[0-9]+"
    r"|media[0-9]+|gpiochip[0-9]+|i2c-[0-9]+|spidev.+|hwrng|u?random|null|zero|full|net/tun|ppp|kvm|fuse|rtc[0-9]*)"
)
"""Devices that a product may need and that lead neither to the host's memory nor to its disks."""
GIVEN = "serial lines, USB, GPUs, sound, cameras, GPIO, /dev/kvm, /dev/net/tun and CDI names (vendor.com/class=name)"
CDI = re.compile(r"[\w.-]+/[\w.-]+=\S+")
"""A device that the host's administrator has described himself: vendor.com/class=name (Container Device Interface)."""
NAMESPACES = {
    "pid": ("it would see and signal processes that are not its own, and could take over their open connections",
            "leave it out; what must run together goes into one service"),
    "ipc": ("shared memory is a way to another service that is no flow", "leave it out; share a named volume, or list a flow"),
    "uts": ("the host's name is not the service's to change", "use `hostname`"),
    "cgroup": ("it would see the resources of the whole host", "leave it out"),
    "userns_mode": ("it would be the host's root where the engine maps users", "leave it out"),
}  # fmt: skip
OWN = {"ipc": ("private", "shareable", "none"), "cgroup": ("private",)}
"""Values that keep a namespace the service's own."""
TIES = {
    "cgroup_parent": ("the host's administrator decides about its slices",
                      "limit it by `deploy.resources`, or resources in client.yml"),
    "device_cgroup_rules": ("with a device file of its own making it would reach disks and memory",
                            "name the device in `devices`"),
    "use_api_socket": ("who may call the engine is root on the host", "leave it out"),
    "provider": ("Compose would run a program on the host that the bundle does not carry", "make it a service with an image"),
    "models": ("the host has no such thing to offer", "make it a service with an image"),
}  # fmt: skip
RUNTIMES = ("runc", "io.containerd.runc.v2")
INSECURE = {"unconfined", "disable"}
Found = Iterator[Problem]


def check_confined(service: Mapping[str, Any], place: str) -> Found:
    """Everything in a normalised service that would defeat its isolation."""
    yield from _network_mode(service, place)
    yield from _privileged(service, place)
    yield from _namespaces(service, place)
    yield from _ties(service, place)
    yield from _capabilities(service, place)
    yield from _security_opt(service, place)
    yield from _devices(service, place)


def check_volume(name: str, volume: Mapping[str, Any], file: str) -> Found:
    """A named volume that is something else than storage of its own: a folder of the host, or a server's."""
    place, options = f"{file}: volumes.{name}", mapping(volume.get("driver_opts"))
    if volume.get("driver") not in (None, "local"):
        message = f'"{volume["driver"]}" is refused: hosts have no such volume driver'
        yield Problem(f"{place}.driver", message, "leave it out")
    elif options and options.get("type") != "tmpfs":
        device = str(options.get("device", ""))
        what = "a folder of the host" if device.startswith("/") else "a connection of the host that is no flow"
        hint = (
            "leave driver_opts out; a client that keeps it elsewhere makes the volume before the install,"
            " with `docker volume create --opt …`"
        )
        yield Problem(f"{place}.driver_opts", f"refused: that would be {what}", hint)


def _network_mode(service: Mapping[str, Any], place: str) -> Found:
    mode = service.get("network_mode")
    if mode and mode != "none":
        reason = "such a container has no network of its own, so no flow can be held at it"
        yield Problem(f"{place}.network_mode", f'"{mode}" is refused: {reason}', "leave it out and list flows")


def _privileged(service: Mapping[str, Any], place: str) -> Found:
    reason = "refused: it could change the host's firewall, that is, its own isolation"
    if service.get("privileged"):
        hint = f"leave it out; for hardware name `devices`, for rights one of cap_add: {_known()}"
        yield Problem(f"{place}.privileged", reason, hint)
    for key in ("post_start", "pre_stop"):
        for index, hook in enumerate(listed(service.get(key))):
            if hook.get("privileged"):
                yield Problem(f"{place}.{key}[{index}].privileged", reason, "leave it out; `user: root` is allowed")


def _namespaces(service: Mapping[str, Any], place: str) -> Found:
    for key, (reason, hint) in NAMESPACES.items():
        mode = str(service.get(key) or "")
        if mode and mode not in OWN.get(key, ()):
            yield Problem(f"{place}.{key}", f'"{mode}" is refused: {reason}', hint)


def _ties(service: Mapping[str, Any], place: str) -> Found:
    for key, (reason, hint) in TIES.items():
        if service.get(key):
            yield Problem(f"{place}.{key}", f"refused: {reason}", hint)
    runtime = service.get("runtime")
    if runtime and runtime not in RUNTIMES:
        hint = "leave it out; a GPU is asked for by `deploy.resources.reservations.devices`"
        yield Problem(f"{place}.runtime", f'"{runtime}" is refused: hosts keep the engine that they have', hint)


def _capabilities(service: Mapping[str, Any], place: str) -> Found:
    for index, given in enumerate(service.get("cap_add") or []):
        name = str(given).upper().removeprefix("CAP_")
        if name not in CAPABILITIES:
            reason, hint = WHY.get(name, ("it reaches beyond the container", f"known are: {_known()}"))
            yield Problem(f"{place}.cap_add[{index}]", f"{name} is refused: {reason}", hint)


def _known() -> str:
    return ", ".join(sorted(CAPABILITIES))


_DEBUG = "a debugger is for laptops: put it into a Compose file of its own that does not travel"
_HARDWARE = "name the one device in `devices`"
WHY = {
    "ALL": ("every right on the host is among them", "name those that are needed"),
    "NET_ADMIN": (
        "it could give itself addresses and routes, and reach more of the kernel's firewall than any service needs",
        "a VPN or a shared address belongs to the host, or to a machine outside that client.yml names in `externals`",
    ),
    "SYS_ADMIN": ("it can mount, and leave its namespaces", "have mounts made by the image or as volumes"),
    "SYS_PTRACE": ("it can take over other processes", _DEBUG),
    "PERFMON": ("it watches the whole host", _DEBUG),
    "BPF": ("its programs run in the host's kernel", "measure from a service of its own, over a flow"),
    "SYS_MODULE": ("it loads code into the host's kernel", "have the client's administrator load the module"),
    "SYS_RAWIO": ("it reaches the host's memory and disks", _HARDWARE),
    "SYS_BOOT": ("it can restart the host", "leave it out"),
    "SYS_TIME": ("the clock is the whole host's", "have the client's administrator run a time service"),
    "DAC_READ_SEARCH": ("it opens files of the host by their number", "DAC_OVERRIDE is among what every container has"),
}  # fmt: skip


def _security_opt(service: Mapping[str, Any], place: str) -> Found:
    for index, option in enumerate(service.get("security_opt") or []):
        kind, _, value = re.sub(r"^([\w-]+):", r"\1=", str(option)).partition("=")
        where = f"{place}.security_opt[{index}]"
        if value in INSECURE:
            hint = "leave it out; what the default refuses is refused to every other container too"
            yield Problem(where, f'"{option}" is refused: it takes down a wall between the container and the host', hint)
        elif kind == "seccomp":
            yield Problem(
                where, f'"{option}" is refused: the profile would not travel', "leave it out; the engine has one of its own"
            )


def _devices(service: Mapping[str, Any], place: str) -> Found:
    for index, device in enumerate(service.get("devices") or []):
        source = str(device.get("source", "") if isinstance(device, Mapping) else device).partition(":")[0]
        if not CDI.fullmatch(source) and not DEVICES.fullmatch(os.path.normpath(source)):
            message = f'"{source}" is refused: it may lead to the host\'s memory, disks or consoles'
            yield Problem(f"{place}.devices[{index}]", message, f"{GIVEN} may be given")
