"""Documents of every source with something else in them: what parsers and tables are tried with."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

#: A request as each source sends it; what is tried is this with something else in it.
SHAPES: dict[str, list[dict[str, Any]]] = {
    "standard": [
        {
            "type": "user.upserted",
            "timestamp": "2026-06-01T00:00:00Z",
            "data": {"id": "u", "email": "u@example.com", "active": True, "attributes": {"a": "b"}},
        },
        {
            "events": [
                {
                    "id": "e",
                    "type": "group.members_replaced",
                    "timestamp": "2026-06-01T00:00:00Z",
                    "data": {"group_id": "g", "user_ids": ["u"]},
                }
            ]
        },
    ],
    "okta": [
        {
            "eventType": "com.okta.event_hook",
            "eventTime": "2026-06-01T00:00:00Z",
            "data": {
                "events": [
                    {
                        "uuid": "e",
                        "published": "2026-06-01T00:00:00Z",
                        "eventType": "group.user_membership.add",
                        "target": [
                            {"id": "u", "type": "User", "alternateId": "u@example.com"},
                            {"id": "g", "type": "UserGroup", "displayName": "Crew"},
                        ],
                    }
                ]
            },
        }
    ],
    "pingone": [
        {
            "id": "e",
            "recordedAt": "2026-06-01T00:00:00.000Z",
            "action": {"type": "MEMBER_OF_GROUP.CREATED"},
            "resources": [
                {
                    "type": "MEMBER_OF_GROUP",
                    "id": "u",
                    "name": "Crew",
                    "href": "https://api.pingone.eu/v1/environments/v/users/u/memberOfGroups/g",
                }
            ],
            "result": {"status": "SUCCESS"},
        },
        {
            "id": "e",
            "recordedAt": "2026-06-01T00:00:00.000Z",
            "action": {"type": "USER.UPDATED"},
            "resources": [{"type": "USER", "id": "u", "name": "u@example.com"}],
            "result": {"status": "SUCCESS"},
        },
    ],
    "onelogin": [
        {
            "uuid": "e",
            "create": {"_id": "e"},
            "event_timestamp": "2026-06-01 00:00:00 UTC",
            "event_type_id": 551,
            "user_id": 123456,
            "user_name": "U",
        },
        {
            "uuid": "e",
            "event_timestamp": "2026-06-01 00:00:00 UTC",
            "event_type_id": "4",
            "user_id": 123456,
            "role_id": 7,
        },
    ],
    "workos": [
        {
            "id": "event_1",
            "event": "dsync.user.created",
            "created_at": "2026-06-01T00:00:00.000Z",
            "data": {
                "id": "directory_user_1",
                "state": "active",
                "emails": [{"primary": True, "value": "u@example.com"}],
                "updated_at": "2026-06-01T00:00:00.000Z",
            },
        }
    ],
    "auth0": [
        {
            "id": "evt_1",
            "type": "user.updated",
            "time": "2026-06-01T00:00:00Z",
            "data": {"object": {"user_id": "auth0|1", "email": "u@example.com", "blocked": True}},
        },
        {
            "id": "evt_2",
            "type": "group.member.added",
            "time": "2026-06-01T00:00:00Z",
            "data": {
                "object": {
                    "group": {"id": "grp_1"},
                    "member": {"member_type": "user", "id": "auth0|1"},
                }
            },
        },
    ],
    "fusionauth": [
        {
            "event": {
                "id": "e",
                "type": "user.update.complete",
                "createInstant": 1780272000000,
                "user": {"id": "u", "email": "u@example.com", "active": True, "firstName": "U"},
            }
        },
        {
            "event": {
                "id": "e",
                "type": "group.member.remove.complete",
                "createInstant": 1780272000000,
                "group": {"id": "g", "name": "Crew"},
                "members": [{"userId": "u"}, {"userId": "v"}],
            }
        },
    ],
    "keycloak": [
        {
            "uid": "e",
            "time": 1780272000000,
            "type": "admin.USER-UPDATE",
            "resourcePath": "users/u",
            "representation": '{"email":"u@example.com","enabled":false,"credentials":[]}',
        },
        {
            "uid": "e",
            "time": 1780272000000,
            "type": "access.REGISTER",
            "authDetails": {"userId": "u"},
            "details": {"email": "u@example.com"},
        },
        {
            "uid": "e",
            "time": 1780272000000,
            "type": "admin.GROUP_MEMBERSHIP-DELETE",
            "resourcePath": "users/u/groups/g",
        },
    ],
    "google": [
        {
            "kind": "admin#reports#activity",
            "id": {
                "time": "2026-06-01T00:00:00.000Z",
                "uniqueQualifier": "-7",
                "applicationName": "groups_enterprise",
            },
            "events": [
                {
                    "type": "moderator_action",
                    "name": "remove_member",
                    "parameters": [
                        {"name": "member_id", "value": "u@example.com"},
                        {"name": "group_id", "value": "crew@example.com"},
                    ],
                }
            ],
        },
        {
            "kind": "admin#reports#activity",
            "id": {
                "time": "2026-06-01T00:00:00.000Z",
                "uniqueQualifier": "7",
                "applicationName": "admin",
            },
            "events": [
                {
                    "type": "USER_SETTINGS",
                    "name": "SUSPEND_USER",
                    "parameters": [{"name": "USER_EMAIL", "value": "u@example.com"}],
                }
            ],
        },
        {
            "channel": {"id": "c", "number": "4", "state": "delete"},
            "user": {
                "kind": "admin#directory#user",
                "id": "101",
                "primaryEmail": "u@example.com",
            },
        },
    ],
    "zitadel": [
        {
            "aggregateID": "u",
            "aggregateType": "user",
            "instanceID": "i",
            "sequence": 7,
            "event_type": "user.human.added",
            "created_at": "2026-06-01T00:00:00.000001+02:00",
            "event_payload": "eyJlbWFpbCI6InVAZXhhbXBsZS5jb20iLCJzZWNyZXQiOiJ4In0=",
        }
    ],
    "set": [
        {
            "iss": "https://idp.example.com/",
            "jti": "j",
            "iat": 1780272000,
            "sub_id": {"format": "scim", "uri": "/Users/u"},
            "events": {
                "urn:ietf:params:scim:event:prov:put:full": {
                    "data": {
                        "userName": "u@example.com",
                        "active": True,
                        "name": {"givenName": "U"},
                    }
                }
            },
        },
        {
            "iss": "https://idp.example.com/",
            "jti": "j",
            "toe": 1780272000,
            "sub_id": {"format": "scim", "uri": "/Groups/g"},
            "events": {
                "urn:ietf:params:scim:event:prov:patch:full": {
                    "data": {
                        "Operations": [
                            {"op": "add", "path": "members", "value": [{"value": "u"}]},
                            {"op": "remove", "path": 'members[value eq "v"]'},
                        ]
                    }
                }
            },
        },
        {
            "iss": "https://idp.example.com/",
            "jti": "j",
            "iat": 1780272000,
            "sub_id": {
                "format": "complex",
                "user": {"format": "email", "email": "u@example.com"},
            },
            "events": {
                "https://schemas.openid.net/secevent/risc/event-type/account-disabled": {},
                "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {
                    "event_timestamp": 1780272000
                },
            },
        },
    ],
    "polis": [
        {
            "directory_id": "d",
            "event": "group.user_removed",
            "data": {
                "id": "u",
                "email": "u@example.com",
                "active": True,
                "raw": {"userName": "u", "userType": "employee"},
                "group": {"id": "g", "name": "Crew"},
            },
        }
    ],
    "entra": [
        {
            "value": [
                {
                    "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
                    "changeType": "updated",
                    "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
                    "resource": "Users/72b08237-30f1-4fbe-be57-1df593448f7a",
                    "resourceData": {
                        "@odata.type": "#Microsoft.Graph.User",
                        "id": "72b08237-30f1-4fbe-be57-1df593448f7a",
                        "sequenceNumber": 639000000000000001,
                    },
                },
                {
                    "subscriptionId": "5d3ee2a5-5ac0-4df6-9d1c-6f4d4cc5d2f0",
                    "changeType": "updated",
                    "resourceData": {
                        "@odata.type": "#Microsoft.Graph.Group",
                        "id": "14b0fed8-8714-4140-b0da-f05759d10b5d",
                        "eventTime": "2026-06-01T00:00:00.0385565Z",
                        "members@delta": [
                            {"id": "72b08237-30f1-4fbe-be57-1df593448f7a"},
                            {
                                "id": "636b5365-803f-4703-8cd8-a39d473fe31a",
                                "@removed": "deleted",
                            },
                        ],
                    },
                },
            ]
        },
        {
            "value": [
                {
                    "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
                    "lifecycleEvent": "reauthorizationRequired",
                    "subscriptionExpirationDateTime": "2026-06-20T11:00:00Z",
                }
            ]
        },
        {
            "specversion": "1.0",
            "id": "2222cccc-33dd-eeee-ff44-aaaaaa555555",
            "type": "Microsoft.Graph.UserDeleted",
            "data": {
                "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
                "changeType": "deleted",
                "resourceData": {
                    "@odata.type": "#Microsoft.Graph.User",
                    "id": "72b08237-30f1-4fbe-be57-1df593448f7a",
                },
            },
        },
    ],
    "scim": [
        {
            "request": {"method": "PUT", "path": "/Users/u"},
            "changes": [
                {"change": "ProvisionUser", "user": "u", "email": "u@example.com", "active": True},
                {"change": "ReplaceMembers", "group": "g", "users": ["u"]},
            ],
            "keeps": {"id": "r"},
        }
    ],
    "clerk": [
        {
            "type": "user.updated",
            "timestamp": 1780272000000,
            "data": {
                "id": "user_1",
                "email_addresses": [{"id": "idn_1", "email_address": "u@example.com"}],
                "primary_email_address_id": "idn_1",
                "first_name": "U",
                "banned": False,
            },
        },
        {
            "type": "organizationMembership.deleted",
            "timestamp": 1780272000000,
            "data": {"organization": {"id": "org_1"}, "public_user_data": {"user_id": "user_1"}},
        },
    ],
    "scalekit": [
        {
            "type": "organization.directory.user_updated",
            "occurred_at": "2026-06-01T00:00:00.000000001Z",
            "data": {
                "id": "diruser_1",
                "email": "u@example.com",
                "active": True,
                "name": "U",
                "groups": [{"id": "dirgroup_1", "name": "Crew"}],
            },
        }
    ],
}

odd_texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\x00", "\ud800", "9" * 400, "-1", "NaN", "0000-00-00T00:00:00Z", "a@b", "🦀" * 9]
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), odd_texts, st.just(10**400)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner, max_size=4),
    max_leaves=8,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    below = document.items() if isinstance(document, dict) else enumerate(document)
    found = [path]
    for key, value in below:
        here = (*path, key)
        found += places(value, here) if isinstance(value, dict | list) else [here]
    return found


@st.composite
def bent(draw: st.DrawFn, source: str) -> bytes:
    """A request of the source in which one to three places hold something else, or are gone."""
    document = json.loads(json.dumps(draw(st.sampled_from(SHAPES[source]))))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        if not path:
            continue
        with suppress(KeyError, IndexError, TypeError):
            parent = document
            for key in path[:-1]:
                parent = parent[key]
            if draw(st.booleans()):
                parent[path[-1]] = draw(anything)
            else:
                del parent[path[-1]]
    body = json.dumps(document).encode()
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    return body


def bodies(source: str) -> st.SearchStrategy[bytes]:
    return bent(source) | st.binary(max_size=200) | anything.map(lambda v: json.dumps(v).encode())
