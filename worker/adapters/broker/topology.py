"""Queues of either broker: a lane each, and one for what nobody understood (F10, F12).

Redis: a direct exchange, so that rings reach their list even after a flush took the bindings.
RabbitMQ: durable quorum queues behind a topic exchange, with a delivery limit of our own (its
default differs between versions) and at-least-once dead lettering, which needs reject-publish.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu import Connection, Exchange, Queue

from domain.inbox import Lane

DEAD_QUEUE = "rosterd.dead"
#: A ring that took its worker down so often goes to the dead queue; its rows are suspects by then.
DELIVERY_LIMIT = 5
#: Rings that wait in one lane. More carry no news: a drain takes all that is due.
LONGEST_QUEUE = 100_000

_QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
_LANE_ARGUMENTS: dict[str, Any] = {
    **_QUORUM,
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-overflow": "reject-publish",
    "x-max-length": LONGEST_QUEUE,
    "x-dead-letter-exchange": DEAD_QUEUE,
    "x-dead-letter-strategy": "at-least-once",
}


def is_rabbitmq(broker_url: str) -> bool:
    """Whether the URL names an AMQP broker."""
    return urlsplit(broker_url).scheme in ("amqp", "amqps", "pyamqp")


def lane_queues(broker_url: str) -> list[Queue]:
    """A queue for each lane."""
    rabbit = is_rabbitmq(broker_url)
    exchange = Exchange("rosterd", type="topic" if rabbit else "direct")
    arguments = _LANE_ARGUMENTS if rabbit else None
    return [
        Queue(lane.value, exchange, routing_key=lane.value, queue_arguments=arguments)
        for lane in Lane
    ]


def declare_dead_queue(app: Celery, connection: Connection) -> None:
    """Make the queue of dead letters and what leads to it; Redis makes a list on first use.

    No worker consumes it, so none would declare it, and what RabbitMQ cannot route it drops.
    """
    if not is_rabbitmq(str(app.conf.broker_url)):
        return
    exchange = Exchange(DEAD_QUEUE, type="fanout")
    with connection.channel() as channel:
        Queue(DEAD_QUEUE, exchange, queue_arguments=_QUORUM)(channel).declare()
