"""How the program may end other than by an error of a room: misread, interrupted, or surprised."""

from __future__ import annotations

import errno

from deploybundle.errors import DeployctlError, InputError, InternalBug, StoppedError, UsageError


class Usage(UsageError):
    """The command line was not understood.

    `deployctl VERB --help` shows what the verb takes, with an example.
    """

    code = "usage"


class Interrupted(StoppedError):
    """Ctrl-C, SIGTERM or SIGHUP (a terminal that was closed) ended the program.

    Run the same command again: what is done is not done again, and the hosts' locks were given back. `deployctl status`
    shows what runs meanwhile.
    """

    code = "interrupted"


class FileUnusable(InputError):
    """A file or folder of this machine cannot be read or written: its rights, a read-only or missing disk.

    Look at the path that is named, as the same user: `ls -ld`, `df`. Where it is your home, `XDG_CONFIG_HOME` and
    `XDG_CACHE_HOME` name other places.
    """

    code = "file-unusable"


class DiskFull(InputError):
    """This machine's disk is full.

    Free some of the disk that is named. What was half written was not put in its place: run the same command again.
    """

    code = "disk-full"


class Unexpected(InternalBug):
    """Something that we did not think of. It is a bug of ours.

    Run the command again with `--debug`, and send us what it says, with the log whose name was shown.
    """

    code = "unexpected"


def ending(error: BaseException) -> DeployctlError:
    """Any exception as an error that a person can read."""
    problem = _ending(error)
    problem.log = problem.log or getattr(error, "log", "")
    return problem


def _ending(error: BaseException) -> DeployctlError:
    if isinstance(error, DeployctlError):
        return error
    if isinstance(error, KeyboardInterrupt):
        at = getattr(error, "at", "")
        state = "; what it had started may run, and each file is whole, old or new" if at else ""
        hint = "run the same command again to go on" + ("; `deployctl status` shows what runs" if at else "")
        return Interrupted(f"interrupted{f' at: {at}' if at else ''}{state}", hint=hint)
    if isinstance(error, OSError) and error.filename is not None:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else FileUnusable
        return kind(
            str(error.strerror), place=str(error.filename), hint=f"`deployctl explain {kind.code}` says what to look at"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(str(error.strerror), place="this machine", hint="free some of its disk, then run it again")
    hint = "this is a bug of ours; run it with --debug and send us what it says"
    return Unexpected(f"unexpected: {type(error).__name__}: {error}", hint=hint)
