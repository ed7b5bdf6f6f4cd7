"""What a SCIM request is refused with (RFC 7644, 3.12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

URN = "urn:ietf:params:scim:api:messages:2.0:Error"
_LONGEST_DETAIL = 500


class SCIMError(Exception):
    """A refusal: HTTP status, scimType (None where the RFC has none) and a sentence with the place.

    retry_after: whole seconds for the header of that name. allow: methods that are taken there.
    """

    def __init__(
        self,
        status: int,
        scim_type: str | None,
        detail: str,
        *,
        retry_after: int | None = None,
        allow: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.scim_type = scim_type
        self.detail = detail[:_LONGEST_DETAIL]
        self.retry_after = retry_after
        self.allow = allow

    @property
    def body(self) -> dict[str, Any]:
        """The error as the RFC writes it: its status is a string."""
        body: dict[str, Any] = {
            "schemas": [URN],
            "status": str(self.status),
            "detail": self.detail,
        }
        if self.scim_type is not None:
            body["scimType"] = self.scim_type
        return body


def invalid_syntax(detail: str) -> SCIMError:
    """The body does not have the shape that the request needs."""
    return SCIMError(400, "invalidSyntax", detail)


def invalid_value(detail: str) -> SCIMError:
    """A value is missing, of another type, or not allowed there."""
    return SCIMError(400, "invalidValue", detail)


def invalid_path(detail: str) -> SCIMError:
    """A path that cannot be read, or that leads to no attribute."""
    return SCIMError(400, "invalidPath", detail)


def invalid_filter(detail: str) -> SCIMError:
    """A filter that cannot be read or compares what cannot be compared."""
    return SCIMError(400, "invalidFilter", detail)


def no_target(detail: str) -> SCIMError:
    """A path whose filter matches nothing, or a remove without a path."""
    return SCIMError(400, "noTarget", detail)


def mutability(detail: str) -> SCIMError:
    """The attribute cannot be written, or not be taken away."""
    return SCIMError(400, "mutability", detail)


def not_allowed(place: str, methods: Iterable[str]) -> SCIMError:
    """Another method than what the place takes (RFC 9110, 15.5.6)."""
    taken = tuple(methods)
    return SCIMError(405, None, f"{place[:200]} takes {', '.join(taken)}", allow=taken)


def not_found(detail: str) -> SCIMError:
    """No such resource or address."""
    return SCIMError(404, None, detail)
