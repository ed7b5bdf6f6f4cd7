"""POST /Bulk: many writes in one request, each an event of its own (RFC 7644 section 3.7)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import orjson
from starlette.datastructures import QueryParams

from domain.ports import InfrastructureError
from worker.adapters.scim.bulk import Done, Operation, read_bulk, run_bulk
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.refusals import insist_open
from worker.web.scim import writing
from worker.web.scim.call import Call, Reply

#: Nobody sees the resources: what they hold is not read.
_BRIEF = QueryParams({"attributes": "id"})


def bulk(call: Call) -> Reply:
    """Do them one by one; each is applied, refused and told as if it had come alone."""
    insist_open(call.speaker)
    asked = read_bulk(call.body, strict=call.is_strict)
    return Reply(body=run_bulk(asked, partial(_perform, call), base=call.base))


def _perform(call: Call, operation: Operation) -> Done:
    headers = {name: value for name, value in call.headers.items() if name != "if-match"}
    if operation.version is not None:
        headers["if-match"] = operation.version
    resource = [operation.resource] if operation.resource is not None else []
    single = replace(
        call,
        method=operation.method,
        path=(operation.endpoint, *resource),
        query=_BRIEF,
        headers=headers,
        body=operation.data,
        raw=orjson.dumps(operation.data),
    )
    try:
        reply = writing.write(single)
    except InfrastructureError as error:
        call.parts.log.warning("scim_unavailable", why=str(error))
        raise SCIMError(503, None, "rosterd cannot store this now: nothing was done") from error
    location = f"{call.base}/{operation.endpoint}/{operation.resource}"
    return Done(reply.status, reply.headers.get("Location", location), reply.headers.get("ETag"))
