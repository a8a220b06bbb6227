"""The one place that runs the docker program. (Its SDK is an extra for the vendor's side; a rehearsal needs only this.)"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from deploybundle.errors import SiteError

T = TypeVar("T")
AT_ONCE = 16


class DockerMissing(SiteError):
    """No docker program, or no daemon that answers.

    Install and start Docker on this machine; a rehearsal is made of containers. Check `docker info` as the same user.
    """

    code = "rehearsal-no-docker"


class DockerFailed(SiteError):
    """The docker program refused something that it should have done.

    Read Docker's own words. `deployctl rehearse down` and `up` again gives a clean start.
    """

    code = "rehearsal-docker"


def run(argv: Sequence[str], *, given: str | bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `docker ARGV…` and return what it said. Raises DockerFailed with its own words, unless `check` is off."""
    data = given.encode() if isinstance(given, str) else given
    stdin = subprocess.DEVNULL if data is None else None
    raw = subprocess.run([program(), *argv], input=data, stdin=stdin, capture_output=True, check=False)
    done = subprocess.CompletedProcess(raw.args, raw.returncode, _text(raw.stdout), _text(raw.stderr))
    if check and done.returncode != 0:
        raise DockerFailed(done.stderr.strip() or f"docker {argv[0]} ended with {done.returncode}", place=f"docker {argv[0]}")
    return done


def lines(argv: Sequence[str]) -> list[str]:
    """The non-empty lines that `docker ARGV…` prints."""
    return [line for line in run(argv).stdout.splitlines() if line.strip()]


def attached(argv: Sequence[str]) -> int:
    """Run `docker ARGV…` on the caller's own terminal and return its exit code."""
    return subprocess.run([program(), *argv], check=False).returncode


def program() -> str:
    """The docker program. Raises DockerMissing."""
    found = shutil.which("docker")
    if found is None:
        raise DockerMissing("the docker program is not installed", hint="a rehearsal needs Docker on this machine")
    return found


def must_answer() -> None:
    """Raise DockerMissing unless the daemon answers."""
    done = run(["version", "--format", "{{.Server.Version}}"], check=False)
    if done.returncode != 0:
        raise DockerMissing(done.stderr.strip(), hint="start the Docker daemon, or check that you may use it")


def at_once(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do `work` for all items in threads; all are tried, then every failure is told in one DockerFailed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(work, item) for item in items]
    failures = [error for future in futures if (error := future.exception()) is not None]
    for error in failures:
        if not isinstance(error, SiteError):
            raise error
    if failures:
        raise DockerFailed("\n".join(dict.fromkeys(str(error) for error in failures)))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
