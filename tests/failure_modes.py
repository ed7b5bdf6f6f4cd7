"""The failure modes of this kind of system (F01-F43), and what shows that each is survived.

`python -m tests.failure_modes` prints the table in tests/README.md; an architecture test holds both
together: every mode has tests that exist, or a sentence that says why not.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CHAOS = "test_g2_g3_g4_injured_at_random_it_ends_as_the_idps_said"
POISONED = "test_t03_t04_an_event_that_kills_its_worker_is_dead_after_three_lone_crashes"
UNFIT = "test_t07_t12_an_unfit_broker_fails_the_doctor_and_is_said_by_every_process"
CONVERGES = "test_g4_d1_s1_any_order_duplication_and_batching_gives_the_same_directory"


@dataclass(frozen=True, slots=True)
class Mode:
    """One failure mode: the tests by name, and what to know beside them."""

    title: str
    tests: tuple[str, ...] = ()
    note: str = ""


MODES = {
    "F01": Mode("kill -9 of a worker", (CHAOS,)),
    "F02": Mode(
        "Redis: popped, not yet noted as unacknowledged",
        (CHAOS,),
        "fault point redis.popped_not_noted",
    ),
    "F03": Mode(
        "pool child killed by its work",
        (
            POISONED,
            "test_t03_d6_only_an_event_that_crashed_alone_three_times_is_worker_lost",
            CHAOS,
        ),
    ),
    "F04": Mode(
        "parent and children killed by the same event",
        (
            POISONED,
            "test_t04_what_a_quorum_queue_gives_up_on_is_rung_again",
            "test_t03_d6_only_an_event_that_crashed_alone_three_times_is_worker_lost",
        ),
    ),
    "F05": Mode(
        "a second delivery while the first still runs",
        (
            "test_t05_a_ring_that_comes_again_while_it_is_answered_changes_nothing",
            "test_t05_t14_two_workers_woken_twice_apply_each_event_once",
        ),
    ),
    "F06": Mode(
        "the broker restarts empty",
        (CHAOS, "test_g2_g6_killed_and_flushed_the_directory_is_what_the_idp_said"),
    ),
    "F07": Mode("flush, eviction", ("test_t07_a_redis_that_evicts_is_unfit", UNFIT, CHAOS)),
    "F08": Mode(
        "a worker that no longer consumes after a reconnect",
        (
            "test_t08_what_does_not_move_is_done_here_and_the_consumer_is_ended",
            "test_t08_a_worker_whose_consumer_hangs_goes_on_and_then_ends",
            "test_t40_a_broker_that_is_away_kills_nobody_and_work_goes_on",
            CHAOS,
        ),
    ),
    "F09": Mode(
        "a broker that accepts and never answers",
        ("test_t09_a_broker_that_never_answers_does_not_delay_a_single_answer", CHAOS),
    ),
    "F10": Mode(
        "published, never stored",
        ("test_t10_a_ring_counts_once_confirmed_and_comes_again_after_a_dead_connection", CHAOS),
    ),
    "F11": Mode(
        "RabbitMQ's acknowledgement time-out",
        (),
        "Not shown by a test: a task yields after a quarter of a second and is cut off after 50 s; "
        "the time-out is 30 minutes.",
    ),
    "F12": Mode(
        "quorum queues with Celery's schedules",
        (
            "test_retries_and_delays_are_rows_not_messages",
            "test_t12_a_queue_of_another_kind_is_unfit_and_says_how_to_mend_it",
            UNFIT,
        ),
        "RabbitMQ 3.10 is tried; 4.x is not, for want of a package to test with.",
    ),
    "F13": Mode("the broker killed with unacknowledged messages", (CHAOS,)),
    "F14": Mode(
        "connection lost while a task runs",
        (
            "test_t14_a_drain_whose_session_is_ended_goes_on_with_another",
            "test_t14_a_session_that_ends_while_writes_are_sent_ahead_of_each_other",
            "test_t14_a_connection_lost_in_the_pools_own_ping_is_a_database_that_is_away",
            CHAOS,
        ),
    ),
    "F15": Mode("prefetch reorders", (CONVERGES, "test_g4_d1_any_order_on_the_real_databases")),
    "F16": Mode(
        "2xx sent, then the process dies",
        (CHAOS,),
        "fault points web.before_insert, web.after_insert, web.after_commit, any.before_ring",
    ),
    "F17": Mode(
        "the provider sends twice",
        (
            "test_t17_fifty_copies_at_once_are_one_row_one_effect_fifty_successes",
            "test_d12_same_id_with_other_bytes_is_kept_as_a_conflict_and_shown",
        ),
    ),
    "F18": Mode(
        "out of order", (CONVERGES, "test_d1_d3_the_same_answers_any_order_on_the_real_databases")
    ),
    "F19": Mode(
        "a captured request is sent again later; clocks apart",
        ("test_only_a_fresh_signature_proves", "test_old_and_wrong_is_wrong"),
    ),
    "F20": Mode("huge payloads", ("test_t20_too_large_is_413_declared_chunked_or_compressed",)),
    "F21": Mode(
        "hostile JSON",
        (
            "test_invalid_utf_8_is_stored_and_dead",
            "test_authentic_but_not_understood_is_stored_and_dead_with_the_place",
        ),
    ),
    "F22": Mode(
        "partial batch", ("test_d9_one_row_that_the_database_refuses_costs_no_other_request", CHAOS)
    ),
    "F23": Mode(
        "database down or read-only",
        (
            "test_t23_database_away_is_503_with_retry_after_never_a_false_2xx",
            "test_t23_a_read_only_database_is_503_and_costs_no_attempt",
            "test_t23_a_full_disk_is_503_costs_no_attempt_and_ends_without_a_restart",
            "test_t23_a_full_disk_of_postgresql_is_503_costs_no_attempt_and_ends_without_a_restart",
            CHAOS,
        ),
    ),
    "F24": Mode(
        "deadlock, serialisation failure",
        (
            "test_t24_a_deadlock_is_tried_again_at_once",
            "test_t24_a_serialisation_failure_is_tried_again_at_once",
            "test_t24_after_three_tries_it_is_left_to_the_sweep_and_costs_no_attempt",
            "test_t24_an_answer_meets_others_and_is_given_all_the_same",
            "test_t24_a_transaction_is_made_three_times_at_most_with_full_jitter",
            "test_t24_a_row_that_somebody_holds_costs_no_attempt",
        ),
    ),
    "F25": Mode(
        "slow database, pool exhausted, table bloat",
        (
            "test_no_statement_lock_or_idle_transaction_may_last",
            "test_f25_a_slow_database_is_503_within_seconds_and_no_broken_group",
            "test_f25_a_statement_that_takes_too_long_is_narrowed_down_in_a_drain",
            "test_what_changes_all_the_time_is_vacuumed_early",
            "test_t25_too_many_connections_are_503",
            "test_t25_too_many_connections_postpone_a_workers_tasks_until_there_is_one",
            "test_t25_a_pool_without_a_free_connection_is_503_until_there_is_one",
            "test_d7_no_statement_of_a_drain_scans_a_table_that_grows",
        ),
    ),
    "F26": Mode(
        "killed around the commit",
        (
            CHAOS,
            "test_f26_a_batch_whose_commit_was_not_heard_of_is_applied_once",
            "test_f26_a_failure_whose_commit_was_not_heard_of_counts_once",
            "test_f26_an_answer_whose_commit_was_not_heard_of_is_given_once",
            "test_f26_a_replay_whose_commit_was_not_heard_of_is_not_started_twice",
        ),
        "fault points worker.before_commit, worker.between_commit_and_ack",
    ),
    "F27": Mode(
        "connections across a fork",
        ("test_t27_a_child_never_speaks_through_its_parents_connection",),
    ),
    "F28": Mode("replica reads", (), "There is one database URL; nothing reads a replica."),
    "F29": Mode(
        "migration while running",
        (
            "test_the_step_to_this_release_is_taken_under_load",
            "test_old_code_goes_on_while_and_after_a_later_release_migrates",
            "test_one_release_back_everything_starts_on_the_newer_schema",
            "test_a_migration_that_gets_no_lock_gives_up_and_comes_again",
        ),
    ),
    "F30": Mode(
        "dead letters grow",
        (
            "test_retention_keeps_what_is_dead_and_lets_old_bodies_go",
            "test_t30_lists_and_gauges_find_what_is_open_by_an_index",
            "test_d7_no_statement_of_a_drain_scans_a_table_that_grows",
        ),
    ),
    "F31": Mode(
        "poison",
        (
            "test_t31_one_poison_among_thousands_is_dead_after_the_policys_count",
            "test_t31_d8_one_poisoned_event_pays_alone_and_retries_by_policy",
        ),
    ),
    "F32": Mode(
        "head-of-line blocking",
        (
            "test_t32_a_noisy_connection_leaves_others_their_turn",
            "test_a_kind_with_a_backlog_gives_way_to_the_others_of_its_lane",
            "test_a_slow_mail_server_holds_up_no_event_and_no_mail_is_lost_or_sent_twice",
        ),
    ),
    "F33": Mode("thundering herd", ("test_every_wait_is_bounded_and_the_end_comes",)),
    "F34": Mode("replay storm", ("test_t34_the_rate_is_kept_by_rows_not_by_sleeping",)),
    "F35": Mode("replay of stale state", ("test_t35_a_replayed_old_fact_resurrects_nobody",)),
    "F36": Mode("the repairer breaks", ("test_t36_a_marker_that_cannot_be_read_stops_no_repair",)),
    "F37": Mode("SIGTERM, deployment", (CHAOS,), "rolling restarts, in the short form too"),
    "F38": Mode(
        "a frozen worker comes back",
        (
            "test_t38_a_child_that_was_frozen_with_a_batch_in_hand_does_nothing_when_it_comes_back",
            "test_t38_a_drain_that_holds_its_locks_too_long_loses_them_and_nobody_else_does",
            CHAOS,
        ),
        "worker frozen 25 s, in the short form too",
    ),
    "F39": Mode(
        "clocks of workers apart",
        ("test_the_database_adapter_asks_one_clock", "test_drill_clock_wrong"),
        "Leases and schedules use the database's clock; `rosterd doctor` and an alert tell of it.",
    ),
    "F40": Mode(
        "health checks that kill",
        ("test_t40_a_broker_that_is_away_kills_nobody_and_work_goes_on", "test_probes"),
        "/livez and /readyz need no broker.",
    ),
    "F41": Mode(
        "blind monitoring",
        (
            "test_metrics_need_a_token_and_tell_zero_as_zero",
            "test_t41_while_the_database_is_away_counters_are_told_and_the_state_is_not",
            "test_t41_it_tells_what_web_tells_and_its_parent_speaks_to_no_database",
        ),
        "`deploy/test_drills.py`: an outage for each alert",
    ),
    "F42": Mode("schedules in worker memory", ("test_retries_and_delays_are_rows_not_messages",)),
    "F43": Mode(
        "side clients on the broker",
        (
            "test_t43_flower_as_compose_starts_it_sees_the_work_and_takes_none",
            "test_t43_the_exporter_gets_the_transport_options_of_rosterds_app",
        ),
        "the exporter itself was not run: it comes as an image only",
    ),
}


def existing() -> dict[str, str]:
    """Every test's name -> its file."""
    found: dict[str, str] = {}
    for path in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = path.relative_to(HERE).as_posix()
    return found


def table() -> str:
    """The table as Markdown."""
    files = existing()
    lines = ["| | failure | shown by |", "|---|---|---|"]
    for number, mode in MODES.items():
        tests = [f"`{files[name]}::{name}`" for name in mode.tests]
        shown = "<br>".join(part for part in (*tests, mode.note) if part)
        lines.append(f"| {number} | {mode.title} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
