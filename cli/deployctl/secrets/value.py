"""The type of a secret value. Only `reveal` gives it away, so a leak can be found by searching for one word."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A secret text. It prints as ***, and can be neither serialised nor compared by accident."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself, for the one place that writes it where it belongs."""
        return self.__value

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be serialised")
