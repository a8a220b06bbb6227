"""The bundle beside what others use for the same images: `make bench-bundle`. Writes its section of docs/benchmarks.md.

Each way runs three times, the slow ones of others once, in turns, and the median counts: other work on the machine then hurts
all alike.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from deploybundle import trust  # noqa: E402
from measure import Engine, Run, empty_engine, median, run  # noqa: E402
from report import Aim, finish, table  # noqa: E402

OTHERS = ["bench/postgres:1", "bench/redis:1", "bench/nginx:1"]
IMAGES = [*OTHERS, "bench/app:1.0"]
NEXT = {"changed layer": "bench/app:1.1", "changed dependency": "bench/app:1.2"}
TIMES = 3
DISK, API, ZSTD = "full, from the engine's disk", "full, by its API alone", "`docker save` piped to `zstd -3 -T0`"
OVER = "verify, 40 times over"
LOAD, PACKED, AGAIN, RAW = (
    "load",
    "load, packed on the way, as over a network",
    "load, all is there",
    "`docker load` of the raw tar",
)
PYTHON = sys.executable


@dataclass
class Way:
    """A command, the engine that it asks, what it makes, what is removed before each run, and a command before it."""

    command: list[str]
    engine: Engine
    made: Path | None = None
    remove: Sequence[Path] = ()
    before: Sequence[str] = ()
    times: int = TIMES


def main() -> None:
    """Measure, write, and say which aims were met."""
    subprocess.run([HERE / "images"], check=True, env={**os.environ, "PYTHON": PYTHON})
    with (
        tempfile.TemporaryDirectory(prefix="bench-bundle-", dir=os.environ.get("BENCH_DIR")) as folder,
        empty_engine(Path(folder)) as host,
    ):
        work = Path(folder, "work")
        work.mkdir()
        rows = _measured(_ways(work, Engine.here(), host), work)
    speed = _sha256_speed()
    said = (
        f"{', '.join(IMAGES)}, and two later ones of the application. Bundles hold the images alone. Medians of {TIMES} runs, of gzip, "
        f"skopeo and other tools one. Written: by the program and by the engine. Beside: the most that lay on the disk besides the "
        f"result, in the engine's folder for temporary files too. SHA-256 by openssl on all cores: {speed / 1e9:.2f} GB/s."
    )
    finish("bundle", "The bundle", [said, _table(rows)], _aims(rows, speed))


def _measured(ways: dict[str, Way], work: Path) -> dict[str, Run]:
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(TIMES):
        for name, way in ways.items():
            if turn >= way.times:
                continue
            for path in way.remove:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            if way.before:
                subprocess.run(way.before, check=True, capture_output=True, env=way.engine.environment)
            found[name].append(run(way.command, way.made, work, way.engine))
    return {name: median(runs) for name, runs in found.items()}


def _ways(work: Path, engine: Engine, host: Engine) -> dict[str, Way]:
    trust.generate(work / "key", None)
    for name in ("disk", "api", "old", "base", *NEXT.values()):
        (work / name).mkdir(parents=True)

    def _ours(folder: str, source: str, images: Sequence[str], since: str = "-") -> Way:
        out = work / folder / ("bench.bundle.tar" if since == "-" else "bench.delta.tar")
        return Way([PYTHON, str(HERE / "build.py"), str(out), str(work / "key"), source, since, *images], engine, out, [out])

    base = _ours("base", "disk", IMAGES)
    run(base.command, None, work, engine)
    unchanged = _ours("old", "disk", IMAGES)
    run(unchanged.command, None, work, engine)
    unchanged.remove = ()
    assert base.made
    ways = {DISK: _ours("disk", "disk", IMAGES), API: _ours("api", "api", IMAGES), **_others(work, engine, IMAGES)}
    ways["unchanged"] = unchanged
    for title, image in NEXT.items():
        ways[f"{title}, as a delta"] = _ours(image, "disk", [*OTHERS, image], str(base.made))
        ways[f"{title}: `docker save` of its image piped to `zstd -3 -T0`"] = _saved(work, engine, [image], "zstd -3 -T0 -q")
    for title, times in {"verify": 1, OVER: 40}.items():
        ways[title] = Way([PYTHON, str(HERE / "verify.py"), str(base.made), str(work / "key.pub"), str(times)], engine)
    return {**ways, **_loads(work, base.made, host)}


def _saved(work: Path, engine: Engine, images: Sequence[str], pipe: str) -> Way:
    out = work / f"saved.{pipe.split()[0]}"
    return Way(["sh", "-c", f"docker save {' '.join(images)} | {pipe} > {out}"], engine, out, [out])


def _others(work: Path, engine: Engine, images: Sequence[str]) -> dict[str, Way]:
    ways = {
        ZSTD: _saved(work, engine, images, "zstd -3 -T0 -q"),
        "`docker save` piped to `gzip`": _saved(work, engine, images, "gzip"),
    }
    ways["`docker save` piped to `gzip`"].times = 1
    if shutil.which("skopeo"):
        named = [(one, one.split("/")[1].split(":")[0]) for one in images]
        copies = " && ".join(
            f"skopeo --insecure-policy copy -q docker-daemon:{one} oci:{work}/skopeo:{name}" for one, name in named
        )
        script, out = f"{copies} && tar -cf {work}/skopeo.tar -C {work} skopeo", work / "skopeo.tar"
        ways["`skopeo copy` into one layout, and `tar`"] = Way(
            ["sh", "-c", script], engine, out, [work / "skopeo", out], times=1
        )
    if shutil.which("hauler"):
        adds = " && ".join(f"hauler store add image --local {one} -s {work}/hauler" for one in images)
        script, out = f"{adds} && hauler store save -s {work}/hauler -f {work}/haul.tar.zst", work / "haul.tar.zst"
        ways["`hauler store`"] = Way(["sh", "-c", script], engine, out, [work / "hauler", out], times=1)
    if shutil.which("zarf"):
        ways["`zarf package create`"] = _zarf(work, engine, images)
    return ways


def _zarf(work: Path, engine: Engine, images: Sequence[str]) -> Way:
    (work / "zarf").mkdir()
    listed = "".join(f"      - {one}\n" for one in images)
    head = "kind: ZarfPackageConfig\nmetadata:\n  name: bench\n  version: 1.0.0\ncomponents:\n  - name: bench\n    required: true\n"
    (work / "zarf/zarf.yaml").write_text(f"{head}    images:\n{listed}")
    out = work / "zarf" / "zarf-package-bench-amd64-1.0.0.tar.zst"
    command = ["zarf", "package", "create", str(work / "zarf"), "--skip-sbom", "--confirm", "-o", str(work / "zarf")]
    return Way(command, engine, out, [out], times=1)


def _loads(work: Path, bundle: Path, host: Engine) -> dict[str, Way]:
    """Into an engine of a host's, from which all images are removed before each run, so that both begin with the same."""
    subprocess.run(["docker", "save", "-o", str(work / "raw.tar"), *IMAGES], check=True)
    remove = ["sh", "-c", "docker image ls -aq | sort -u | xargs -r docker image rm -f"]
    ours, packed = ([PYTHON, str(HERE / "load.py"), how, str(bundle), *IMAGES] for how in ("raw", "zstd"))
    return {
        RAW: Way(["docker", "load", "-q", "-i", str(work / "raw.tar")], host, before=remove),
        LOAD: Way(ours, host, before=remove),
        PACKED: Way(packed, host, before=remove),
        AGAIN: Way(ours, host),
    }


def _sha256_speed() -> float:
    """OpenSSL's SHA-256 on all cores, bytes a second, blocks of 16 KiB."""
    command = ["openssl", "speed", "-evp", "sha256", "-bytes", "16384", "-seconds", "2", "-multi", str(os.cpu_count())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.split()[-1].rstrip("k")) * 1000


def _table(rows: dict[str, Run]) -> str:
    head = ("what", "s", "processor s: itself + engine", "memory MB", "written MB", "beside MB", "size MB")
    lines = [
        (
            name, f"{one.wall:.2f}", f"{one.cpu:.1f} + {one.engine:.1f}", f"{one.memory / 1e6:.0f}", f"{one.written / 1e6:.1f}",
            f"{one.temporary / 1e6:.1f}", f"{one.size / 1e6:.3f}" if one.size else "–",
        )
        for name, one in rows.items()
    ]  # fmt: skip
    return table(head, lines)


def _aims(rows: dict[str, Run], speed: float) -> list[Aim]:
    disk, api, zstd, load = rows[DISK], rows[API], rows[ZSTD], rows[LOAD]
    layer, dependency = (rows[f"{title}, as a delta"] for title in NEXT)
    hashed = json.loads(rows[OVER].said)
    return [
        Aim("full: times as fast as `docker save` piped to `zstd`", zstd.wall / disk.wall, 1.6, "×", least=True),
        Aim("full by the API alone: the same", zstd.wall / api.wall, 1, "×", least=True),
        Aim("full: size beside that of `docker save` piped to `zstd`", disk.size / zstd.size, 1, "×"),
        Aim("full: temporary disk beside the result", disk.temporary / 1e6, 1, "MB"),
        Aim("unchanged", rows["unchanged"].wall, 0.5, "s"),
        Aim("changed layer, to carry", layer.size / 1e3, 10, "kB"),
        Aim("changed layer, to build", layer.wall, 10, "s"),
        Aim("changed dependency, to carry", dependency.size / 1e6, 0.5, "MB"),
        Aim("changed dependency, to build", dependency.wall, 10, "s"),
        Aim("verify: openssl's SHA-256 on all cores", hashed["bytes"] / hashed["seconds"] / speed, 0.8, "×", least=True),
        Aim("memory of a build that makes no patches", max(one.memory for one in (disk, api)) / 1e6, 200, "MB"),
        Aim("load: times as fast as `docker load` of the raw tar", rows[RAW].wall / load.wall, 1, "×", least=True),
        Aim("load, all is there: sent", float(rows[AGAIN].said), 0, "B"),
        Aim("load, all is there: written", rows[AGAIN].written / 1e6, 0, "MB"),
    ]


if __name__ == "__main__":
    main()
