"""The command line: which verbs there are, and the one place that catches and exits."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deploybundle.errors import DeployctlError
from deployctl import __version__
from deployctl.commands import (
    bundle,
    client,
    inspect,
    install,
    keygen,
    plan,
    preflight,
    rehearse,
    render,
    secrets,
    show,
    status,
    trust,
    verify,
)
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


for verb in (keygen, bundle, inspect, verify, preflight, plan, install, status, render):
    app.command(verb.NAME, no_args_is_help=False)(verb.command)
for group, name, words in (
    (client.app, "client", "Write a client's inventory."),
    (secrets.app, "secrets", "A client's secrets."),
    (trust.app, "trust", "Whom this machine trusts: hosts and vendors."),
    (rehearse.app, "rehearse", "The client's site as containers, to try the real install."),
):
    app.add_typer(group, name=name, help=words, no_args_is_help=True)


def run() -> None:
    """The program. Ends with a code of `Exit`; a person sees one message, and a traceback with --debug only."""
    sys.exit(_run())


def _run() -> int:
    try:
        result = app(standalone_mode=False)
        if result == Exit.INTERRUPTED:  # Typer makes this of Ctrl-C
            raise KeyboardInterrupt
        return int(result) if isinstance(result, int) else Exit.DONE
    except typer.Exit as wish:
        return wish.exit_code
    except (typer.Abort, KeyboardInterrupt):
        show.say("deployctl: interrupted; run the same command again to go on")
        return Exit.INTERRUPTED
    except TyperException as error:
        _usage(error)
        return Exit.USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except DeployctlError as error:
        _trace()
        show.error(error)
        return error.exit_code
    except Exception as error:
        _trace()
        show.say(f"deployctl: unexpected: {type(error).__name__}: {error}")
        show.say("  → this is a bug of ours; run it with --debug and send us what it says")
        return Exit.UNEXPECTED


def _trace() -> None:
    if os.environ.get("DEPLOYCTL_DEBUG"):
        traceback.print_exc()


def _usage(error: TyperException) -> None:
    """What of the command line was not understood: Typer's own words, with the verb's usage where it knows it."""
    if hasattr(error, "show"):
        error.show()
    else:
        show.say(f"deployctl: {error}")
