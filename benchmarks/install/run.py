"""make bench-install: what an install costs. Builds what it needs, in rehearsals of its own, and removes them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "tests" / "e2e")]

from conftest import alone  # noqa: E402
from installs import Figures, figures, raised  # noqa: E402
from places import ROOT, Vendor  # noqa: E402
from report import Aim, finish, table  # noqa: E402
from transfer import Case, cases  # noqa: E402

OVERHEAD, NO_OP, FURTHER = 2.0, 6.0, 0.4
BASELINE = "`docker save` piped to `ssh … docker load`"


def main() -> None:
    """Measure, print, write the page."""
    with tempfile.TemporaryDirectory(prefix="deployctl-bench-") as name:
        folder = Path(name)
        vendor = _vendor(folder)
        with raised(vendor, folder / "four", 4) as place:
            four = figures(place)
            with alone("images"):
                sent = list(cases(place, vendor, folder))
        with raised(vendor, folder / "eight", 8) as place:
            eight = figures(place)
    finish("install", "Install", [*map(_transfer, sent), _sites(four, eight), _calls(four)], list(_aims(sent, four, eight)))


def _vendor(folder: Path) -> Vendor:
    vendor = Vendor(folder / "config", folder / "medium")
    for part in ("config", "medium", "four", "eight"):
        (folder / part).mkdir(mode=0o755)
    folder.chmod(0o755)
    vendor.run("keygen", "--no-passphrase")
    (vendor.medium / "vendor.pub").write_bytes((vendor.home / "deployctl" / "signing.key.pub").read_bytes())
    with alone("images"):
        subprocess.run([ROOT / "app" / "scripts" / "build-images", "1.0.0"], check=True, capture_output=True)
        vendor.bundle(ROOT / "app")
    return vendor


def _transfer(case: Case) -> str:
    base = case.ways[BASELINE]
    rows = [
        (
            way, f"{sent.bytes:,}", f"{sent.seconds:.2f}",
            f"{base.bytes / sent.bytes:,.1f} ×", f"{base.seconds / sent.seconds:.1f} ×",
        )
        for way, sent in case.ways.items()
    ]  # fmt: skip
    layers = ", ".join(f"{size:,} as {encoding}" for encoding, size in case.layers.items())
    head = ("way", "bytes on the wire", "s", "fewer bytes", "faster")
    return f"Changed: {case.what}; bytes of the changed layers: {layers}.\n\n{table(head, rows)}"


def _sites(four: Figures, eight: Figures) -> str:
    names = {
        "preflight": "preflight", "first install": "first", "install again": "again",
        "install again, without trying flows": "again_without_proof",
    }  # fmt: skip
    pairs = [(name, getattr(four, field), getattr(eight, field)) for name, field in names.items()]
    rows = [(name, f"{a:.1f}", f"{b:.1f}", f"{b / a:.2f} ×", f"{(b - a) / 4:.2f}") for name, a, b in pairs]
    return table(("seconds", "acme, 4 hosts", "8 hosts", "ratio", "a further host"), rows)


def _calls(four: Figures) -> str:
    rows = [(call, str(count)) for call, count in sorted(four.calls.items())]
    return f"What the four engines are asked by an install that finds nothing to do:\n\n{table(('call', 'times'), rows)}"


def _aims(sent: list[Case], four: Figures, eight: Figures) -> list[Aim]:
    over = [
        Aim(f"{case.what}, {encoding}: bytes on the wire above the layers'", 100 * (one.bytes / size - 1), OVERHEAD, "%")
        for case in sent
        for encoding, size in case.layers.items()
        for one in [case.ways[f"deployctl, {encoding}"]]
    ]
    return [
        *over,
        Aim("install again at acme", four.again, NO_OP, "s"),
        Aim("each further host", (eight.again - four.again) / 4, FURTHER, "s"),
        Aim("image calls when nothing changed", four.image_calls + eight.image_calls, 0),
    ]


if __name__ == "__main__":
    main()
