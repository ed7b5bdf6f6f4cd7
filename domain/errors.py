"""Errors that people meet: what was wrong and what to do instead."""

from __future__ import annotations


class UsageError(Exception):
    """What was asked makes no sense as it is; the message says what would."""


class NothingFoundError(Exception):
    """Nothing matches what was named."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r}")
        self.what = what
        self.name = name


class RefusedError(Exception):
    """A rule of the directory says no; the message names the rule and the way out.

    code: the rule's word where programs are told one (`managed_by_idp`, `managed_group`).
    """

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code
