"""The command `collector`."""

import argparse
import importlib
import sys
from typing import Any

from collector import healthcheck

EPILOG = "Example: collector db upgrade"
SCOPES = ["jobs:read", "jobs:write", "results:read"]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="collector", description="The Data Collection Service.", epilog=EPILOG)
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("api", help="serve HTTP")
    verbs.add_parser("worker", help="run jobs")
    db = verbs.add_parser("db", help="the schema")
    db.add_argument("action", choices=["upgrade", "current"], help="bring it up to date, or say which revision it has")
    add_keys(verbs.add_parser("keys", help="API keys: make, rotate, revoke, list"))
    verbs.add_parser("openapi", help="print the description of the API")
    check = verbs.add_parser("healthcheck", help="exit 0 when well, 1 with the reason when not")
    check.add_argument("what", nargs="?", choices=["api", "live", "worker"], default="api")
    return top


def add_keys(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(dest="action", required=True)
    make = actions.add_parser("make", help="print a new key; it is shown this once")
    rotate = actions.add_parser("rotate", help="print a new key of the same name and scopes; the old one ends a while later")
    revoke = actions.add_parser("revoke", help="end every key of the name, now")
    actions.add_parser("list", help="names, scopes and times of all keys, as JSON")
    for action in (make, rotate, revoke):
        action.add_argument("name", help="who uses it: shown in the audit log")
    make.add_argument("--scope", action="append", choices=SCOPES, help="may be given more than once; else all")
    rotate.add_argument("--keep-hours", type=float, default=24.0, help="how long the old key holds (24)")
    make.add_argument("--days", type=float, help="then it ends by itself; else never")
    rotate.add_argument("--days", type=float, help="then it ends by itself; 0: never; else after as many as its forerunner had")


def main() -> None:
    arguments = parser().parse_args()
    if arguments.verb == "healthcheck":
        healthcheck.main(arguments.what)
    # Imported by name, since a health check runs every few seconds and need not load a web framework for it.
    start: Any = importlib.import_module("collector.start")
    try:
        outcome = start.VERBS[arguments.verb](arguments)
    except start.EXPECTED as error:
        sys.stderr.write("".join(f"collector: {line}\n" for line in start.explain(error)))
        sys.exit(1)
    if outcome is not None:
        sys.stdout.write(outcome + "\n")
