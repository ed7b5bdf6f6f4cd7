"""Errors that people meet: what was wrong and what to do instead."""

from __future__ import annotations


class UsageError(Exception):
    """What was asked makes no sense as it is; the message says what would."""


class NothingFoundError(Exception):
    """Nothing matches what was named, or what is said of it.

    name: as somebody gave it, and quoted. more: what else is said, in our own words.
    """

    def __init__(self, what: str, name: str | None = None, *, more: str = "") -> None:
        quoted = repr(name) if name is not None else ""
        super().__init__(" ".join(filter(None, ("there is no", what, quoted, more))))
        self.what = what
        self.name = name


class RefusedError(Exception):
    """A rule of the directory says no; the message names the rule and the way out.

    code: the rule's word where programs are told one (`managed_by_idp`, `managed_group`).
    """

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code
