"""What the service says of itself: /Schemas, /ResourceTypes, /ServiceProviderConfig.

The attributes of users and groups are those of scim2-models, corrected to what is so here:
everything that is advertised as writable is kept and given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from worker.adapters.scim.errors import not_found

Document = dict[str, Any]

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
#: What rosterd knows of a person beyond SCIM's one boolean (U10): read-only, and shown to whom
#: asks for it, so that what is written is what comes back. NOTE is the client's own.
STATE = "urn:ietf:params:scim:schemas:extension:rosterd:2.0:User"

LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
_RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"

#: Operations in a Bulk request, bytes of its body, and resources in a page.
MAX_BULK_OPERATIONS = 1_000
MAX_RESULTS = 200

_ACTIVE = (
    "Whether the person is let in. Always present: a create that does not say it is active. "
    "false while the person is suspended by this or another feed."
)
NOTE = "note"
_NOTE_SAYS = "A remark of the identity provider, which operators see beside the person."
_STATE_ATTRIBUTES = (
    ("state", "string", "invited, active, suspended, invited_suspended, or waiting for something."),
    ("waitsFor", "string", "What the person waits for before anything can be applied."),
    ("emailInForce", "string", "The address that mail goes to now."),
    ("pendingEmail", "string", "The address that the person has been asked to accept."),
    ("isManaged", "boolean", "Whether provisioning governs the person."),
    ("override", "string", "What an operator decided for a time, and until when."),
    ("isObserving", "boolean", "The connection is only observed: nothing is applied yet."),
    ("isHeld", "boolean", "A change of the person is held until an operator lets it go."),
)


@cache
def schema_documents() -> Mapping[str, Document]:
    """Every schema document by its URN, without `meta`. Not to be changed by the caller."""
    # Half a second that a process without SCIM should not pay.
    from scim2_models import (  # noqa: PLC0415
        EnterpriseUser,
        Group,
        ResourceType,
        Schema,
        ServiceProviderConfig,
        User,
    )

    models = (User, Group, EnterpriseUser, Schema, ResourceType, ServiceProviderConfig)
    documents = {str(m.__schema__): m.to_schema().model_dump() for m in models}
    _correct_user(documents[USER])
    _correct_group(documents[GROUP])
    _correct_enterprise(documents[ENTERPRISE])
    documents[STATE] = _state_schema()
    return documents


def _named(attributes: list[Document], name: str) -> Document:
    return next(one for one in attributes if one["name"] == name)


def _correct_user(document: Document) -> None:
    """Passwords are cut before anything is kept, so none is offered."""
    document["description"] = "User Account"
    document["attributes"] = [one for one in document["attributes"] if one["name"] != "password"]
    # Required in the sense of the RFC: a resource always has it, so that it cannot be removed.
    _named(document["attributes"], "active").update(required=True, description=_ACTIVE)
    emails = _named(document["attributes"], "emails")
    _named(emails["subAttributes"], "value")["description"] = (
        "An address. Of the default rule, the first of userName, the primary and the work address "
        "that mail can be sent to is the person's."
    )


def _correct_group(document: Document) -> None:
    """Members are people, kept as ids: what a client calls them is not. No two have one name."""
    document["description"] = "Group"
    _named(document["attributes"], "displayName")["uniqueness"] = "server"
    members = _named(document["attributes"], "members")
    kept = [one for one in members["subAttributes"] if one["name"] != "display"]
    members["subAttributes"] = kept
    _named(kept, "$ref")["referenceTypes"] = ["User"]
    _named(kept, "type")["canonicalValues"] = ["User"]


def _correct_enterprise(document: Document) -> None:
    """Many identity providers give a manager as a bare id."""
    for one in _named(document["attributes"], "manager")["subAttributes"]:
        one["required"] = False


def _state_schema() -> Document:
    return {
        "schemas": [_SCHEMA],
        "id": STATE,
        "name": "rosterd",
        "description": "What rosterd knows of the person",
        "attributes": [
            _plain(NOTE, "string", _NOTE_SAYS),
            *(
                _plain(*one) | {"mutability": "readOnly", "returned": "request"}
                for one in _STATE_ATTRIBUTES
            ),
        ],
    }


def _plain(name: str, kind: str, says: str) -> Document:
    return {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": says,
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    }


def _with_meta(document: Document, kind: str, location: str) -> Document:
    return {**document, "meta": {"resourceType": kind, "location": location}}


def _listed(resources: list[Document]) -> Document:
    return {
        "schemas": [LIST_RESPONSE],
        "totalResults": len(resources),
        "startIndex": 1,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def schemas(base: str) -> Document:
    """The answer to GET /Schemas. base: the service's own address without a final slash."""
    return _listed([schema(base, urn) for urn in schema_documents()])


def schema(base: str, urn: str) -> Document:
    """The answer to GET /Schemas/{urn}; raises SCIMError 404."""
    found = schema_documents().get(urn)
    if found is None:
        raise not_found("no such schema")
    return _with_meta(found, "Schema", f"{base}/Schemas/{urn}")


_TYPES: Mapping[str, Document] = {
    "User": {
        "schemas": [_RESOURCE_TYPE],
        "id": "User",
        "name": "User",
        "description": "User Account",
        "endpoint": "/Users",
        "schema": USER,
        "schemaExtensions": [
            {"schema": ENTERPRISE, "required": False},
            {"schema": STATE, "required": False},
        ],
    },
    "Group": {
        "schemas": [_RESOURCE_TYPE],
        "id": "Group",
        "name": "Group",
        "description": "Group",
        "endpoint": "/Groups",
        "schema": GROUP,
        "schemaExtensions": [],
    },
}


def resource_types(base: str) -> Document:
    """The answer to GET /ResourceTypes."""
    return _listed([resource_type(base, name) for name in _TYPES])


def resource_type(base: str, name: str) -> Document:
    """The answer to GET /ResourceTypes/{name}; raises SCIMError 404."""
    found = _TYPES.get(name)
    if found is None:
        raise not_found("no such resource type")
    return _with_meta(found, "ResourceType", f"{base}/ResourceTypes/{name}")


def service_provider_config(base: str, *, max_payload: int, with_events: bool = False) -> Document:
    """The answer to GET /ServiceProviderConfig. max_payload: bytes that a body may have.

    with_events: for whom asks for `securityEvents` by name: clients that read the document by the
    schema of RFC 7643 take nothing that it does not have.
    """
    config: Document = {
        "schemas": [_CONFIG],
        "patch": {"supported": True},
        "bulk": {
            "supported": True,
            "maxOperations": MAX_BULK_OPERATIONS,
            "maxPayloadSize": max_payload,
        },
        "filter": {"supported": True, "maxResults": MAX_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of the feed in the header Authorization",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        # RFC 9865.
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": 100,
            "maxPageSize": MAX_RESULTS,
        },
    }
    if with_events:
        # RFC 9967: `Prefer: respond-async` is always taken at its word.
        config["securityEvents"] = {"asyncRequest": "request"}
    return _with_meta(config, "ServiceProviderConfig", f"{base}/ServiceProviderConfig")
