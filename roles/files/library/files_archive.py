#!/usr/bin/python
"""Applies one archive of files to a host. Its action plugin brings the archive into a file that only root reads."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: files_archive
short_description: Make a host's files as an archive says
description:
  - Each file is written beside its place and renamed, with its mode and numeric owner; what is as wanted is not touched.
  - Regular files come first, then symlinks, then removals, so that a link never points at something half written.
options:
  archive:
    description: A tar. On the machine that runs Ansible; the action plugin sends it.
    type: path
    required: true
  remove:
    description: Files to remove. Folders of ours that become empty go too.
    type: list
    elements: path
    default: []
author: deployctl
"""
EXAMPLES = r"""
- files_archive:
    archive: /dev/shm/run/db1.tar
    remove: [/etc/deployctl/collector/config/old.conf]
"""
RETURN = r"""
written: {description: paths that were not as wanted, returned: always, type: list}
removed: {description: paths that are gone, returned: always, type: list}
"""

OURS = ("/etc/deployctl/", "/var/lib/deployctl/")
SHOWN = 100_000


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "required": True},
            "remove": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    archive = module.params["archive"]
    try:
        with tarfile.open(archive) as tar:
            result = apply(tar, module.params["remove"], module.check_mode, module._diff)
    except (OSError, ValueError, tarfile.TarError) as problem:
        module.fail_json(msg="{}: {}".format(getattr(problem, "filename", None) or archive, problem))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(archive)
    module.exit_json(**result)


def apply(tar, remove, check_mode, want_diff):
    members = sorted(tar.getmembers(), key=lambda member: (member.issym(), not member.isdir()))
    wanted = [(member, place(member), content(tar, member)) for member in members]
    stale = [(member, path, data) for member, path, data in wanted if not same(member, path, data)]
    gone = [path for path in remove if os.path.lexists(path)]
    diff = [changes(member, path, data) for member, path, data in stale] if want_diff else []
    diff += [{"before_header": path, "after_header": path, "before": "there\n", "after": "removed\n"} for path in gone]
    if not check_mode:
        for member, path, data in stale:
            put(member, path, data)
        for path in gone:
            take_away(path)
    return {"changed": bool(stale or gone), "written": [path for _m, path, _d in stale], "removed": gone, "diff": diff}


def place(member):
    path = "/" + member.name.lstrip("/")
    if os.path.normpath(path) != path.rstrip("/") or not (member.isreg() or member.issym() or member.isdir()):
        raise ValueError(f"the archive holds {member.name!r}, which is no file, link or folder below /")
    return path.rstrip("/")


def content(tar, member):
    return tar.extractfile(member).read() if member.isreg() else b""


def same(member, path, data):
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if member.issym():
        return stat.S_ISLNK(found.st_mode) and os.readlink(path) == member.linkname
    if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (member.mode, member.uid, member.gid):
        return False
    if member.isdir():
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISREG(found.st_mode) and found.st_size == len(data) and read(path) == data


def put(member, path, data):
    if member.isdir():
        folder(path, member)
        return
    parents(os.path.dirname(path))
    if member.issym():
        temporary = tempfile.mktemp(prefix=".deployctl-", dir=os.path.dirname(path))  # noqa: S306 - a link cannot be opened
        os.symlink(member.linkname, temporary)
        os.lchown(temporary, member.uid, member.gid)
    else:
        temporary = write_beside(member, path, data)
    os.replace(temporary, path)


def write_beside(member, path, data):
    """Beside its place: a rename across file systems would be a copy."""
    handle, temporary = tempfile.mkstemp(prefix=".deployctl-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchown(handle, member.uid, member.gid)
            os.fchmod(handle, member.mode)
            file.flush()
            os.fsync(handle)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def folder(path, member):
    parents(os.path.dirname(path))
    if not os.path.isdir(path):
        os.mkdir(path, 0o700)
    os.chown(path, member.uid, member.gid)
    os.chmod(path, member.mode)


def parents(path):
    """What the archive does not name itself is root's, and readable: config is mounted into containers."""
    if not os.path.isdir(path):
        parents(os.path.dirname(path))
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)  # noqa: S103 - whatever the umask is


def take_away(path):
    if os.path.isdir(path) and not os.path.islink(path):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    else:
        os.unlink(path)
    above = os.path.dirname(path)
    while above.startswith(OURS) and above.count("/") > 3:
        try:
            os.rmdir(above)
        except OSError:
            return
        above = os.path.dirname(above)


def changes(member, path, data):
    """What `--diff` shows. Of a file that not everybody may read, only that it changes."""
    after = f"{path} mode {member.mode:04o} owner {member.uid}:{member.gid}"
    header = {"before_header": path, "after_header": after}
    if member.issym():
        before = os.readlink(path) + "\n" if os.path.islink(path) else ""
        return dict(header, before=before, after=member.linkname + "\n")
    if not member.isreg() or not member.mode & 0o004 or len(data) > SHOWN:
        return dict(header, before="", after="(not shown)\n")
    return dict(header, before=text(read(path)), after=text(data))


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def text(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"(not text, {len(data)} bytes)\n"


if __name__ == "__main__":
    main()
