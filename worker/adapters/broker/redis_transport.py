"""kombu's Redis transport, minus its habit of dying of a list entry that is not a message.

An entry that cannot be read as a message goes to the queue of dead letters, as it is, and
consumption goes on.
"""

from __future__ import annotations

import json
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError  # noqa: A004 - the one that Celery recovers from
from redis.retry import Retry

from worker.adapters.broker.topology import DEAD_QUEUE


class Channel(kombu_redis.Channel):
    """A channel that sets unreadable entries aside, and fails at once where nobody answers.

    redis-py tries a connection three times more, with waits, before it says so: 6 s for a socket
    that is not there. Who waits and how long is decided by Celery's consumer and the ringer.
    """

    def _connparams(self, *args: Any, **options: Any) -> dict[str, Any]:
        """kombu's, without redis-py's own retries.

        Raises redis' ConnectionError where the connection was given up before its channel: what
        it has unacknowledged cannot be put back then, and the broker does so by itself. kombu
        reads the address of a connection that is None there, which ended the worker.
        """
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection of this channel is given up")
        found: dict[str, Any] = super()._connparams(*args, **options)
        return {**found, "retry": Retry(NoBackoff(), 0)}

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except json.JSONDecodeError as error:
            self.set_aside(error.doc)
        except UnicodeDecodeError as error:
            self.set_aside(error.object.decode("utf-8", "replace"))
        return True

    def set_aside(self, raw: str) -> None:
        """Put a raw entry into the queue of dead letters."""
        message = self.prepare_message(
            json.dumps({"why": "entry is not a message", "raw": raw}),
            content_type="application/json",
            content_encoding="utf-8",
        )
        self.basic_publish(message, exchange="", routing_key=DEAD_QUEUE)


class Transport(kombu_redis.Transport):
    """The transport that opens such channels."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if _is_message(message):
            super()._deliver(message, queue)
            return
        channel = next((c for c in self.channels if isinstance(c, Channel)), None)
        if channel is not None:
            channel.set_aside(json.dumps(message))


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and "body" in message
        and isinstance(message.get("properties"), dict)
        and "delivery_tag" in message["properties"]
    )
