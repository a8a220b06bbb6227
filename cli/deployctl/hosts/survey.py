"""Ask every host at the same time, and keep both the answers and the problems: a list of what is wrong is whole or useless."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TypeVar

from deploybundle.errors import DeployctlError
from deployctl.hosts.errors import HostsFailed
from deployctl.site import Host

Answer = TypeVar("Answer")


def survey(hosts: Sequence[Host], question: Callable[[Host], Answer]) -> tuple[dict[str, Answer], list[DeployctlError]]:
    """Each host's answer by name, and the problems of those that gave none."""
    answers: dict[str, Answer] = {}
    problems: list[DeployctlError] = []
    with concurrent.futures.ThreadPoolExecutor(max(1, min(32, len(hosts)))) as pool:
        for host, job in [(host, pool.submit(question, host)) for host in hosts]:
            try:
                answers[host.name] = job.result()
            except DeployctlError as problem:
                problems.append(problem)
    return answers, problems


def ask_all(hosts: Sequence[Host], question: Callable[[Host], Answer]) -> dict[str, Answer]:
    """Each host's answer; raises the problem of the one host that has one, or HostsFailed with all of them."""
    answers, problems = survey(hosts, question)
    if problems:
        raise problems[0] if len(problems) == 1 else HostsFailed(problems)
    return answers
