"""The program's start, also for `python3 -m deployctl`. Until the command line is there, Ctrl-C ends it in a line, too."""

import sys


def run() -> None:
    """Load the command line and run it; it takes half a second of a slow machine to load."""
    try:
        from deployctl.commands.main import run as command_line  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("deployctl: interrupted before anything was begun [interrupted]\n")
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    run()
