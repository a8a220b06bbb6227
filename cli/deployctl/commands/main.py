"""The command line: which verbs there are, and the one place that catches and exits."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deploybundle.errors import as_data
from deployctl import __version__
from deployctl.commands import (
    bundle,
    client,
    diff,
    explain,
    files,
    flows,
    importing,
    inspect,
    install,
    keygen,
    keyset,
    plan,
    preflight,
    prune,
    receipt,
    rehearse,
    remove,
    render,
    secrets,
    show,
    status,
    trust,
    verify,
)
from deployctl.commands.ends import Usage, ending
from deployctl.commands.exits import Exit

app = typer.Typer(
    name="deployctl",
    help="One Compose file, from a laptop to an air-gapped site.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        show.out(f"deployctl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.", envvar="DEPLOYCTL_DEBUG")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """At the vendor: keygen, bundle, inspect, verify, rehearse. At the site: trust, preflight, plan, install, status."""
    if debug:
        os.environ["DEPLOYCTL_DEBUG"] = "1"


for verb in (
    keygen, bundle, inspect, diff, verify, preflight, plan, install, status, importing, prune, receipt, remove, files, flows,
    render, explain,
):  # fmt: skip
    app.command(verb.NAME, no_args_is_help=False)(verb.command)
for group, name, words in (
    (client.app, "client", "Write a client's inventory."),
    (secrets.app, "secrets", "A client's secrets."),
    (keyset.app, "keyset", "The keys that a vendor signs with."),
    (trust.app, "trust", "Whom this machine trusts: hosts and vendors."),
    (rehearse.app, "rehearse", "The client's site as containers, to try the real install."),
):
    app.add_typer(group, name=name, help=words, no_args_is_help=True)


def run() -> None:
    """The program. Ends with a code of `Exit`; a person sees one message, and a traceback with --debug only."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _stop)
    sys.exit(_run())


def _stop(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, once: what comes after the first signal must not break off the clearing up."""
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def _run() -> int:
    try:
        result = app(standalone_mode=False)
        if result == Exit.INTERRUPTED:  # Typer makes this of Ctrl-C
            raise KeyboardInterrupt
        return int(result) if isinstance(result, int) else Exit.DONE
    except typer.Exit as wish:
        return wish.exit_code
    except typer.Abort:
        return _end(KeyboardInterrupt())
    except TyperException as error:
        return _usage(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (Exception, KeyboardInterrupt) as error:
        return _end(error)


def _end(error: BaseException) -> int:
    if os.environ.get("DEPLOYCTL_DEBUG", "0").lower() not in ("", "0", "false", "no"):
        show.say("".join(traceback.format_exception(error)).rstrip())
    problem = ending(error)
    show.error(problem, as_json=_json())
    return problem.exit_code


def _json() -> bool:
    """Asked of the words themselves: an error may come before they are understood."""
    return "--json" in sys.argv[1:]


def _usage(error: TyperException) -> int:
    """What of the command line was not understood: Typer's own words, with the verb's usage where it knows it."""
    if hasattr(error, "show"):
        error.show()
    else:
        show.say(f"deployctl: {error}")
    if _json():
        show.data({"error": as_data(Usage(str(error), hint="--help shows what it takes"))})
    return Exit.USAGE
