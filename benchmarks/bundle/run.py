"""The bundle beside what others use for the same images: `make bench-bundle`. Writes its section of docs/benchmarks.md.

Each way runs three times, in turns with the others, and the median counts: other work on the machine then hurts all alike.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OTHERS = ["bench/postgres:1", "bench/redis:1", "bench/nginx:1"]
IMAGES = [*OTHERS, "bench/app:1.0"]
TIMES = 3
BEGIN, END = "<!-- bundle -->", "<!-- /bundle -->"


@dataclass
class Run:
    """One run: seconds (wall, processor, the engine's processor); bytes (largest process, written, made)."""

    wall: float
    cpu: float
    engine: float
    memory: int
    written: int
    size: int
    said: str = ""


def engine_seconds() -> float:
    """Processor seconds of dockerd so far."""
    pid = subprocess.run(["pidof", "dockerd"], capture_output=True, text=True).stdout.split()
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid[0]}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def run(command: list[str], made: Path | None) -> Run:
    """Run a command; `made` is what it makes."""
    report = Path(tempfile.gettempdir()) / f"bench-{os.getpid()}.txt"
    before, began = engine_seconds(), time.monotonic()
    done = subprocess.run(["/usr/bin/time", "-o", report, "-f", "%U %S %M %O", *command], capture_output=True, text=True)
    wall, engine = time.monotonic() - began, engine_seconds() - before
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    user, system, memory, blocks = report.read_text().split()
    size = made.stat().st_size if made and made.is_file() else 0
    return Run(wall, float(user) + float(system), engine, int(memory) << 10, int(blocks) * 512, size, done.stdout)


def median(runs: list[Run]) -> Run:
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda one: one.wall)[len(runs) // 2]


def measured(ways: dict[str, tuple[list[str], Path | None, list[Path]]]) -> dict[str, Run]:
    """Every way, in turns; before each run the paths of its third part are removed."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(TIMES):
        for name, (command, made, remove) in ways.items():
            for path in remove:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            found[name].append(run(command, made))
    return {name: median(runs) for name, runs in found.items()}


def main() -> None:
    """Measure, write, and say which aims were met."""
    subprocess.run([HERE / "images"], check=True, env={**os.environ, "PYTHON": sys.executable})
    with tempfile.TemporaryDirectory(prefix="bench-bundle-", dir=os.environ.get("BENCH_DIR")) as folder:
        rows = measured(_ways(Path(folder)))
    speed = sha256_speed()
    aims = judged(rows, speed)
    write(section(rows, aims, speed))
    print(section(rows, aims, speed))
    met = sum(ok for _, _, ok in aims)
    print(f"aims: {met} met, {len(aims) - met} missed")


def _ways(work: Path) -> dict[str, tuple[list[str], Path | None, list[Path]]]:
    from deploybundle import trust

    trust.generate(work / "key", None)
    for name in ("disk", "api", "old", "base", "d11", "d12"):
        (work / name).mkdir()

    def ours(folder: str, source: str, images: list[str], since: str = "-") -> tuple[list[str], Path]:
        out = work / folder / ("bench.bundle.tar" if since == "-" else "bench.delta.tar")
        return [sys.executable, str(HERE / "build.py"), str(out), str(work / "key"), source, since, *images], out

    base_command, base = ours("base", "disk", IMAGES)
    run(base_command, base)
    run(ours("old", "disk", IMAGES)[0], None)
    ways: dict[str, tuple[list[str], Path | None, list[Path]]] = {}
    for title, source in (("full, from the engine's disk", "disk"), ("full, by its API alone", "api")):
        command, out = ours(source, source, IMAGES)
        ways[title] = (command, out, [out])
    save = f"docker save {' '.join(IMAGES)}"
    for title, pipe in (("`docker save` piped to `zstd -3 -T0`", "zstd -3 -T0 -q"), ("`docker save` piped to `gzip`", "gzip")):
        out = work / pipe.split()[0]
        ways[title] = (["sh", "-c", f"{save} | {pipe} > {out}"], out, [out])
    if shutil.which("skopeo"):
        copies = " && ".join(
            f"skopeo copy -q docker-daemon:{one} oci:{work}/skopeo:{one.split('/')[1].split(':')[0]}" for one in IMAGES
        )
        script = f"{copies} && tar -cf {work}/skopeo.tar -C {work} skopeo"
        ways["`skopeo copy` into one layout, and `tar`"] = (["sh", "-c", script], work / "skopeo.tar", [work / "skopeo"])
    if shutil.which("hauler"):
        adds = " && ".join(f"hauler store add image --local {one} -s {work}/hauler" for one in IMAGES)
        script = f"{adds} && hauler store save -s {work}/hauler -f {work}/haul.tar.zst"
        ways["`hauler store`"] = (["sh", "-c", script], work / "haul.tar.zst", [work / "hauler"])
    command, out = ours("old", "disk", IMAGES)
    ways["unchanged"] = (command, out, [])
    for title, folder, image in (("changed layer", "d11", "bench/app:1.1"), ("changed dependency", "d12", "bench/app:1.2")):
        command, out = ours(folder, "disk", [*OTHERS, image], str(base))
        ways[f"delta: {title}"] = (command, out, [out])
    ways["verify"] = ([sys.executable, str(HERE / "verify.py"), str(base), str(work / "key.pub")], None, [])
    return ways


def sha256_speed() -> float:
    """OpenSSL's SHA-256 on all cores, bytes a second, blocks of 16 KiB."""
    command = ["openssl", "speed", "-evp", "sha256", "-bytes", "16384", "-seconds", "2", "-multi", str(os.cpu_count())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.split()[-1].rstrip("k")) * 1000


Aim = tuple[str, str, bool]


def judged(rows: dict[str, Run], speed: float) -> list[Aim]:
    """The aims, what was measured, and whether it was met."""
    disk, api, zstd = (
        rows["full, from the engine's disk"],
        rows["full, by its API alone"],
        rows["`docker save` piped to `zstd -3 -T0`"],
    )
    unchanged, layer, dependency = rows["unchanged"], rows["delta: changed layer"], rows["delta: changed dependency"]
    hashed = json.loads(rows["verify"].said)
    ratio = hashed["bytes"] / hashed["seconds"] / speed
    memory = max(one.memory for one in (disk, api, unchanged)) / 1e6
    return [
        ("full: 1.6 × as fast as `docker save` piped to `zstd`", f"{zstd.wall / disk.wall:.2f} ×", zstd.wall / disk.wall >= 1.6),
        ("full by the API alone: no slower", f"{zstd.wall / api.wall:.2f} ×", zstd.wall >= api.wall),
        ("no larger", f"{disk.size / zstd.size:.3f} ×", disk.size <= zstd.size),
        ("unchanged: under 0.5 s", f"{unchanged.wall:.2f} s", unchanged.wall < 0.5),
        ("changed layer: under 10 kB, in under 10 s", f"{layer.size} B, {layer.wall:.1f} s", layer.size < 10_000 and layer.wall < 10),
        ("changed dependency: under 0.5 MB, in under 10 s", f"{dependency.size / 1e6:.3f} MB, {dependency.wall:.1f} s",
         dependency.size < 500_000 and dependency.wall < 10),
        ("verify: 0.8 of openssl's SHA-256 on all cores", f"{ratio:.2f} ×", ratio >= 0.8),
        ("memory of a build that makes no patches: under 200 MB", f"{memory:.0f} MB", memory < 200),
    ]  # fmt: skip


def section(rows: dict[str, Run], aims: list[tuple[str, str, bool]], speed: float) -> str:
    """The page's section."""
    versions = subprocess.run(["docker", "version", "-f", "{{.Server.Version}}"], capture_output=True, text=True).stdout.strip()
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    lines = [
        BEGIN, "## The bundle", "",
        f"`make bench-bundle`: {', '.join(IMAGES)}; {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Docker {versions}, "
        f"Python {platform.python_version()}, load {load} at the end; medians of {TIMES}. SHA-256 by openssl on all cores: "
        f"{speed / 1e9:.2f} GB/s. Bundles hold the images alone.", "",
        "| what | wall s | processor s: itself + engine | memory MB | written MB | size MB |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, one in rows.items():
        size = f"{one.size / 1e6:.3f}" if one.size else "–"
        lines.append(
            f"| {name} | {one.wall:.2f} | {one.cpu:.1f} + {one.engine:.1f} | {one.memory / 1e6:.0f} | {one.written / 1e6:.1f} | {size} |"
        )
    lines += [
        "",
        "| aim | got | |",
        "|---|---|---|",
        *(f"| {aim} | {got} | {'met' if ok else 'missed'} |" for aim, got, ok in aims),
        END,
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the section into docs/benchmarks.md, in place of the last one."""
    path = ROOT / "docs" / "benchmarks.md"
    page = (
        path.read_text()
        if path.exists()
        else "# Benchmarks\n\nMeasured by the commands that are named; each writes its own section.\n"
    )
    if BEGIN in page:
        page = page[: page.index(BEGIN)] + text + page[page.index(END) + len(END) :]
    else:
        page = f"{page.rstrip()}\n\n{text}\n"
    path.write_text(page)


if __name__ == "__main__":
    main()
