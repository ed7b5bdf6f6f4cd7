"""Both brokers: what makes them unfit is said, their queues are as they must be (T07, T10, T12)."""

from __future__ import annotations

import time

import pytest
import redis
from celery.app.defaults import NAMESPACES, flatten
from kombu import Connection, Exchange, Queue

from domain.inbox import Kind, Lane
from tests.harness import Rosterd
from tests.servers import RedisServer, await_true
from worker.adapters.broker import ringer, state
from worker.adapters.broker.app import make_celery
from worker.adapters.broker.redis_transport import Transport
from worker.adapters.broker.ringer import CeleryRinger
from worker.adapters.broker.topology import DEAD_QUEUE, declare_dead_queue
from worker.adapters.db.foreign import collect_foreign


def emptied(url: str) -> None:
    with Connection(url) as connection:
        for name in (*(lane.value for lane in Lane), DEAD_QUEUE):
            with connection.channel() as channel:
                channel.queue_delete(name)


def test_t07_a_redis_that_evicts_is_unfit(redis_server: RedisServer) -> None:
    app = make_celery(redis_server.url, sweep_seconds=5)
    assert state.unfit(app) == ""
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert "set it to noeviction" in state.unfit(app)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_every_setting_is_one_that_celery_knows(url: str) -> None:
    app = make_celery(url, sweep_seconds=5)
    known = dict(flatten(NAMESPACES))
    assert app.conf.worker_max_memory_per_child < 400 * 1024, "KiB; two children and a parent"
    # Once anything was read, what was set is told; its own note Celery puts there by itself.
    ours = set(app.conf.changes) - {"deprecated_settings"}
    assert ours - set(known) == set()
    assert {name for name in ours if known[name].deprecate_by} == set()


def test_our_connections_have_a_name_and_acks_are_late(redis_server: RedisServer) -> None:
    app = make_celery(redis_server.url, sweep_seconds=5)
    with app.connection_for_write() as broker, redis.Redis.from_url(redis_server.url) as other:
        broker.default_channel.client.ping()
        assert "rosterd" in {client["name"] for client in other.client_list()}

    def nothing() -> None:
        """Nothing."""

    task = app.task(nothing, name="nothing", lazy=False)
    found = (task.acks_late, task.acks_on_failure, task.acks_on_timeout)
    assert (*found, task.reject_on_worker_lost) == (True, True, True, False)


def test_t40_a_connection_that_is_given_up_with_messages_in_hand_ends_nobody(
    redis_server: RedisServer,
) -> None:
    """What Celery's consumer does where the broker went away in the middle of a read."""
    broker = Connection(hostname="127.0.0.1", port=redis_server.port, transport=Transport)
    channel = broker.default_channel
    queue = Queue("urgent")(channel)
    queue.declare()
    broker.Producer().publish({}, routing_key="urgent")
    assert queue.get(no_ack=False) is not None
    redis_server.away()
    channel.connection.client = None
    with pytest.raises(broker.connection_errors):
        channel.close()
    broker.close()


def test_t12_a_queue_of_another_kind_is_unfit_and_says_how_to_mend_it(rabbitmq_url: str) -> None:
    emptied(rabbitmq_url)
    app = make_celery(rabbitmq_url, sweep_seconds=5)
    with Connection(rabbitmq_url) as connection:
        Queue("urgent", Exchange("rosterd", "topic"), routing_key="urgent")(connection).declare()
        assert "rabbitmqctl delete_queue urgent" in state.unfit(app)
    emptied(rabbitmq_url)
    assert state.unfit(app) == ""


def test_t10_a_ring_counts_once_confirmed_and_comes_again_after_a_dead_connection(
    rabbitmq_url: str,
) -> None:
    emptied(rabbitmq_url)
    told: list[str] = []
    app = make_celery(rabbitmq_url, sweep_seconds=5)
    ringer = CeleryRinger(app, sweep_seconds=5, told=told.append)
    ringer.ring(Kind.USERS_SUSPEND, "urgent", connection="", event_ids=[1])
    await_true(lambda: told == ["sent"])
    assert ringer._connection is not None
    ringer._connection.connection.transport.sock.close()
    ringer.ring(Kind.USERS_SUSPEND, "urgent", connection="", event_ids=[2])
    await_true(lambda: told == ["sent", "sent"])
    ringer.stop()
    await_true(lambda: state.queue_lengths(app)["urgent"] == 2)


def test_d11_the_first_ring_goes_out_at_once_and_many_behind_it_as_one(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rings are gathered for an hour here: only the first and the last ones wait for none."""
    app = make_celery(redis_server.url, sweep_seconds=5)
    told: list[str] = []
    monkeypatch.setattr(ringer, "COALESCE_SECONDS", 3600.0)
    ours = CeleryRinger(app, sweep_seconds=5, told=told.append)
    ours.ring(Kind.USERS_CREATE, "standard", connection="", event_ids=[1])
    await_true(lambda: told == ["sent"])
    for number in range(50):
        ours.ring(Kind.USERS_CREATE, "standard", connection="", event_ids=[number])
    # Whoever does not gather has sent by now; who does, would not for an hour.
    time.sleep(0.3)
    assert told == ["sent"]
    ours.stop()
    assert told == ["sent", "sent"]
    assert state.queue_lengths(app)["standard"] == 2


def test_d11_the_last_of_many_rings_goes_out_by_itself(redis_server: RedisServer) -> None:
    told: list[str] = []
    ours = CeleryRinger(
        make_celery(redis_server.url, sweep_seconds=5), sweep_seconds=5, told=told.append
    )
    for kind in (Kind.USERS_CREATE, Kind.USERS_SUSPEND):
        ours.ring(kind, "standard", connection="", event_ids=[1])
        await_true(lambda: "sent" in told)
    await_true(lambda: told == ["sent", "sent"])
    ours.stop()


def test_t04_what_a_quorum_queue_gives_up_on_is_rung_again(
    rabbitmq_url: str, rosterd: Rosterd
) -> None:
    emptied(rabbitmq_url)
    app = make_celery(rabbitmq_url, sweep_seconds=5)
    ringer = CeleryRinger(app, sweep_seconds=5, told=lambda _: None)
    with Connection(rabbitmq_url) as connection:
        declare_dead_queue(app, connection)
        ringer.ring(Kind.USERS_SUSPEND, "urgent", connection="", event_ids=[1])
        ringer.stop()
        await_true(lambda: state.queue_lengths(app)["urgent"] == 1)
        for _ in range(7):  # the limit is five: a worker that dies of it each time
            with connection.channel() as channel:
                message = channel.basic_get("urgent")
                if message is not None:
                    channel.basic_reject(message.delivery_tag, requeue=True)
            time.sleep(0.05)
    await_true(lambda: state.queue_lengths(app)[DEAD_QUEUE] == 1)
    again: list[tuple[Kind, str]] = []

    class Ring:
        def ring(self, kind: Kind, lane: str, **_: object) -> None:
            again.append((kind, lane))

    found = collect_foreign(app, rosterd.parts.database, rosterd.parts.vault, ring=Ring())
    assert found == {"collected": 0, "rung_again": 1}
    assert again == [(Kind.USERS_SUSPEND, "urgent")]
    assert rosterd.dead() == []
