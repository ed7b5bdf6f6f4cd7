"""What can be learnt of a broker: how many rings wait, and whether it is fit for its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import NotFound, PreconditionFailed
from celery import Celery
from kombu import Connection

from domain.inbox import Lane
from worker.adapters.broker.topology import DEAD_QUEUE, is_rabbitmq, lane_queues

#: Quorum queues can dead-letter at least once from this version on.
RABBITMQ_NEEDED = (3, 10)


def is_answering(app: Celery) -> bool:
    """Whether the broker takes a connection right now; bounded by its time-outs."""
    try:
        with app.connection_for_write(connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=0, timeout=2)
    except Exception:  # noqa: BLE001 - any failure means "no"
        return False
    return True


def queue_lengths(app: Celery) -> dict[str, int]:
    """Rings in each queue; -1 where the broker does not tell."""
    names = [*(lane.value for lane in Lane), DEAD_QUEUE]
    try:
        with _asking(app) as broker:
            return {name: queue_length(app, broker, name) for name in names}
    except Exception:  # noqa: BLE001 - a gauge must not fail with the broker
        return dict.fromkeys(names, -1)


def queue_length(app: Celery, broker: Connection, name: str) -> int:
    """Messages that nobody has taken yet; raises whatever the driver raises."""
    length = _amqp_length if is_rabbitmq(str(app.conf.broker_url)) else _redis_length
    return length(broker, name)


def unfit(app: Celery) -> str:
    """Why this broker should not be used, and what to do about it; "" if nothing speaks against it.

    Raises whatever the driver raises where the broker does not answer.
    """
    with _asking(app) as broker:
        if is_rabbitmq(str(app.conf.broker_url)):
            return _old_rabbitmq(broker) or _other_queues(app, broker)
        return _evicting_redis(broker)


@contextmanager
def _asking(app: Celery) -> Iterator[Connection]:
    with app.connection_for_read(connect_timeout=1) as broker:
        yield broker


def _redis_length(broker: Any, name: str) -> int:
    return int(broker.default_channel.client.llen(name))


def _amqp_length(broker: Connection, name: str) -> int:
    try:
        with broker.channel() as channel:
            return int(channel.queue_declare(name, passive=True).message_count)
    except NotFound:
        return 0


def _evicting_redis(broker: Any) -> str:
    try:
        policy = broker.default_channel.client.config_get("maxmemory-policy")
    except Exception:  # noqa: BLE001 - managed servers forbid CONFIG
        return ""
    found = str(policy.get("maxmemory-policy", ""))
    if found in ("", "noeviction"):
        return ""
    return f"maxmemory-policy is {found}, which drops rings under pressure: set it to noeviction"


def _old_rabbitmq(broker: Connection) -> str:
    properties: dict[str, Any] = broker.connection.server_properties
    version = str(properties.get("version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if properties.get("product") == "RabbitMQ" and numbers >= RABBITMQ_NEEDED:
        return ""
    told = f"{properties.get('product', 'an unknown broker')} {version}".strip()
    return f"it is {told}; quorum queues as they are needed here came with RabbitMQ 3.10: upgrade"


def _other_queues(app: Celery, broker: Connection) -> str:
    for queue in lane_queues(str(app.conf.broker_url)):
        try:
            with broker.channel() as channel:
                queue(channel).declare()
        except PreconditionFailed as error:
            return (
                f"queue {queue.name} was made with other settings ({error.reply_text}); workers "
                f"cannot use it. Delete it, nothing is lost: rabbitmqctl delete_queue {queue.name}"
            )
    return ""


def unfit_if_told(app: Celery) -> str:
    """The same; "" also of a broker that is away, which is told and healed elsewhere."""
    try:
        return unfit(app)
    except Exception:  # noqa: BLE001 - whatever keeps it from answering
        return ""
