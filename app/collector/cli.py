"""The command `collector`."""

import argparse
import importlib
import json
import sys
from typing import Any

from collector import healthcheck

EPILOG = "Example: collector db upgrade"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="collector", description="The Data Collection Service.", epilog=EPILOG)
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("api", help="serve HTTP")
    verbs.add_parser("worker", help="run jobs")
    db = verbs.add_parser("db", help="the schema")
    db.add_argument("action", choices=["upgrade", "current"], help="bring it up to date, or say which revision it has")
    check = verbs.add_parser("healthcheck", help="exit 0 when well, 1 with the reason when not")
    check.add_argument("what", nargs="?", choices=["api", "live", "worker"], default="api")
    return top


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
        sys.stdout.write(json.dumps(outcome) + "\n")
