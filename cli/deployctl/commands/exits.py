"""Exit codes, by who must act. docs/reference/exit-codes.md is this."""

from enum import IntEnum


class Exit(IntEnum):
    """What deployctl ends with."""

    DONE = 0
    INPUT = 1
    """Your input must change: compose.yaml, the inventory, an argument, a password."""
    USAGE = 2
    """The command line was not understood."""
    REFUSED = 3
    """The bundle is damaged, unsigned or not trusted."""
    SITE = 4
    """The site must change: a host, its SSH, its disk, its engine; or an install that did not end (`status`)."""
    UNHEALTHY = 5
    """A service is not healthy."""
    FLOWS = 6
    """A connection is open that must be shut, or the other way about."""
    LOCKED = 7
    """Somebody else is changing this site."""
    UNEXPECTED = 70
    """A bug of ours."""
    INTERRUPTED = 130
    """Ctrl-C, SIGTERM, or a terminal that was closed."""
