"""A receipt: what a site holds and runs, signed by the site, carried back to the vendor for the next bundle.

Two levels, one spelling each. *full* is canonical JSON on one line; *text* is one page of fixed words, which a security
officer can read to the end: products, versions, digests and counts, no name or address of a machine. Below either stands an
SSH signature (namespace `deployctl-receipt`) over all before it, which `ssh-keygen -Y check-novalidate` reads, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from deploybundle.open.problems import ReceiptInvalid
from deploybundle.trust import PublicKey, Signer, canonical, sshsig, sshsig_signer, verify_sshsig
from deploybundle.trust.problems import SignatureProblem

NAMESPACE = "deployctl-receipt"
LIMIT = 16 << 20
Level = Literal["full", "text"]
_TITLE = "deployctl receipt 1"
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_WORD = r"[a-zA-Z0-9][a-zA-Z0-9._+-]{0,127}"
_CLIENT = re.compile(rf"client: ({_WORD})")
_TIME = re.compile(r"written: (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_HOLDS = re.compile(rf"holds: ({_WORD}) ({_WORD}) (sha256:[0-9a-f]{{64}})")
_RUNS = re.compile(
    rf"runs: ({_WORD}) ({_WORD}) (sha256:[0-9a-f]{{64}}) on (\d{{1,6}}) hosts, (\d{{1,6}}) of (\d{{1,6}}) services healthy"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Holds:
    """A release whose bundle the deploy node has: `index` is its identity."""

    name: str
    version: str
    index: str


@dataclass(frozen=True)
class Runs:
    """A release that runs: on so many hosts, so many of its services healthy."""

    name: str
    version: str
    index: str
    hosts: int
    healthy: int
    services: int


@dataclass(frozen=True)
class Receipt:
    """What a site holds and runs. `blobs` are the digests of all it holds; at level *text* it is empty, and `holds` says it.

    `written` is UTC, ISO 8601. `signed_by` is the site's own key: it shows that nobody changed the receipt since.
    """

    client: str
    written: str
    holds: tuple[Holds, ...]
    runs: tuple[Runs, ...]
    blobs: tuple[str, ...] = ()
    signed_by: PublicKey | None = None


def write_receipt(receipt: Receipt, level: Level, signer: Signer) -> bytes:
    """The receipt's bytes, signed."""
    payload = _page(receipt) if level == "text" else _json(receipt)
    return payload + sshsig(payload, signer, NAMESPACE)


def read_receipt(path: Path) -> Receipt:
    """The receipt of a file. ReceiptInvalid if it was changed, or is none."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise ReceiptInvalid(f"cannot be read: {error.strerror}", place=str(path), hint=_HINT) from error
    payload, begin, rest = data.partition(_BEGIN)
    if len(data) > LIMIT or not begin:
        raise ReceiptInvalid("is no receipt: no signature, or too long", place=str(path), hint=_HINT)
    try:
        signer = sshsig_signer(begin + rest)
        verify_sshsig(begin + rest, payload, [signer], str(path), NAMESPACE)
        return _read(payload, signer)
    except (SignatureProblem, ValueError, TypeError, LookupError) as error:
        raise ReceiptInvalid(f"is no receipt, or was changed: {error}", place=str(path), hint=_HINT) from error


def is_receipt(path: Path) -> bool:
    """Whether a file begins as a receipt does; it may yet be none."""
    try:
        with path.open("rb") as file:
            return file.read(len(_TITLE)).startswith((b"{", _TITLE.encode()))
    except OSError:
        return False


_HINT = "expected the file that `deployctl receipt` wrote at the site, unchanged"


def _read(payload: bytes, signer: PublicKey) -> Receipt:
    read, write = (_from_json, _json) if payload[:1] == b"{" else (_from_page, _page)
    found: Receipt = read(payload)
    if write(found) != payload:
        raise ValueError("not in its one spelling")
    return Receipt(found.client, found.written, found.holds, found.runs, found.blobs, signer)


def _json(receipt: Receipt) -> bytes:
    value = {key: part for key, part in asdict(receipt).items() if key != "signed_by"}
    return canonical.dumps({"schema": 1, **value}) + b"\n"


def _from_json(payload: bytes) -> Receipt:
    value = canonical.loads(payload.rstrip(b"\n"))
    holds = tuple(Holds(_word(h["name"]), _word(h["version"]), _digest(h["index"])) for h in value["holds"])
    runs = tuple(_runs(r) for r in value["runs"])
    return Receipt(_word(value["client"]), str(value["written"]), holds, runs, tuple(_digest(blob) for blob in value["blobs"]))


def _runs(value: dict[str, Any]) -> Runs:
    counts = [value[key] for key in ("hosts", "healthy", "services")]
    if not all(type(count) is int and 0 <= count < 1_000_000 for count in counts):
        raise ValueError(f"{counts} are no counts")
    return Runs(_word(value["name"]), _word(value["version"]), _digest(value["index"]), *counts)


def _page(receipt: Receipt) -> bytes:
    lines = [_TITLE, f"client: {receipt.client}", f"written: {receipt.written}"]
    lines += [f"holds: {held.name} {held.version} {held.index}" for held in receipt.holds]
    lines += [
        f"runs: {run.name} {run.version} {run.index} on {run.hosts} hosts, {run.healthy} of {run.services} services healthy"
        for run in receipt.runs
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _from_page(payload: bytes) -> Receipt:
    title, client, written, *rest = payload.decode("ascii").splitlines()
    if title != _TITLE:
        raise ValueError(f"expected {_TITLE!r}, got {title[:40]!r}")
    holds = tuple(Holds(*found.groups()) for line in rest if (found := _HOLDS.fullmatch(line)))
    runs = tuple(_runs_of(found.groups()) for line in rest if (found := _RUNS.fullmatch(line)))
    return Receipt(_match(_CLIENT, client), _match(_TIME, written), holds, runs)


def _runs_of(words: tuple[str, ...]) -> Runs:
    name, version, index, hosts, healthy, services = words
    return Runs(name, version, index, int(hosts), int(healthy), int(services))


def _match(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.fullmatch(line)
    if found is None:
        raise ValueError(f"expected {pattern.pattern.partition(':')[0]}:, got {line[:80]!r}")
    return str(found[1])


def _checked(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def check(text: Any) -> str:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise ValueError(f"expected {pattern.pattern}, got {str(text)[:80]!r}")
        return text

    return check


_word, _digest = _checked(re.compile(_WORD)), _checked(_DIGEST)
