"""What the best monitoring and replay tools do and their users ask for, and where rosterd does it.

`python -m tests.operators` prints deploy/operators.md; a test holds both together, and every page,
command, operation and test that is named here against what there is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.failure_modes import existing

NOT = "not done"
ABOUT = (
    "The rows are what nine monitoring and replay tools were compared by (Oban Web, River UI, "
    "Sidekiq, Flower, Svix, Convoy, Hookdeck, ServicePulse, SQS), then what their users ask for. "
    "`python -m tests.operators` prints this anew."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that operators want. pages: of the console; commands: without `rosterd`.

    operations: of the API. note: what to know beside, and what is not done.
    """

    pages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    note: str = ""


#: What nine tools were compared by.
FEATURES: Mapping[str, Row] = {
    "Queue depth": Row(
        ("/",),
        ("status",),
        ("GET /status",),
        ("test_charts_are_drawn_of_minutes_that_outlive_the_process",),
        "per lane, with charts of the last hour and day that survive restarts",
    ),
    "Oldest age, latency": Row(
        ("/",),
        ("status",),
        ("GET /status",),
        (
            "test_now_says_what_needs_somebody_before_anything_else",
            "test_c5_a_suspension_that_waits_is_told_once_reminded_of_and_cleared",
        ),
        "the oldest unapplied suspension apart; percentiles",
    ),
    "Counts per state": Row(
        ("/", "/events"),
        ("status",),
        ("GET /status",),
        ("test_groups_tell_causes_the_day_and_what_was_never_attempted",),
    ),
    "Search by subject, payload": Row(
        ("/events",),
        ("event list",),
        ("GET /events",),
        (
            "test_events_are_found_by_whatever_is_known_of_them",
            "test_every_filter_finds_what_it_names_and_nothing_else",
        ),
        "by subject, address, external id; no search in bodies, which are sealed: " + NOT,
    ),
    "Search by provider, type": Row(
        ("/events",),
        ("event list",),
        ("GET /events",),
        ("test_event_list_takes_every_filter_of_the_api",),
    ),
    "Error grouping by fingerprint": Row(
        ("/dead-letters", "/dead-letters/group"),
        ("dead groups", "dead note"),
        ("GET /dead-letters/groups", "POST /dead-letters/groups/notes"),
        (
            "test_groups_tell_causes_the_day_and_what_was_never_attempted",
            "test_a_note_is_read_by_the_next_operator_and_audited",
        ),
        "with notes, trend and examples",
    ),
    "Event timeline with attempts": Row(
        ("/events/{id}",),
        ("event show",),
        ("GET /events/{event}",),
        (
            "test_an_event_tells_its_story",
            "test_a_story_tells_all_and_its_body_by_permission",
        ),
        "errors with their place in the code, no whole stack",
    ),
    "Single replay": Row(
        ("/dead-letters/list",),
        ("dead replay",),
        ("POST /replays",),
        ("test_g8_replay_applies_leaves_an_audit_row_and_twice_is_once",),
    ),
    "Bulk replay by filter": Row(
        ("/dead-letters/list", "/replays"),
        ("dead replay", "replay plan"),
        ("POST /replays",),
        (
            "test_g8_what_comes_after_the_plan_is_not_in_it",
            "test_an_empty_selection_is_refused_and_nothing_matched_is_said",
        ),
        "the filter is the scope, frozen; an empty one is refused",
    ),
    "Dry run, count first": Row(
        ("/replays/{id}",),
        ("replay plan", "dead replay"),
        ("POST /replays", "GET /replays/{replay}/items"),
        (
            "test_g8_a_plan_says_of_every_event_what_will_become_of_it_and_changes_none",
            "test_g8_the_report_of_a_plan_carried_out_equals_the_plan",
        ),
        "each event is decided for real and undone",
    ),
    "Replay rate limit": Row(
        ("/replays/{id}",),
        ("replay start",),
        ("POST /replays/{replay}/start",),
        (
            "test_t34_the_rate_is_kept_by_rows_not_by_sleeping",
            "test_a_ramp_goes_on_step_by_step_and_stops_at_its_failure_ratio",
        ),
        "with ramp, and a failure ratio that stops it",
    ),
    "Progress, cancel of a replay": Row(
        ("/replays/{id}",),
        ("replay show", "replay pause", "replay resume", "replay cancel"),
        ("GET /replays/{replay}", "POST /replays/{replay}/cancel"),
        (
            "test_a_replay_is_paused_resumed_and_cancelled_and_second_hands_are_told",
            "test_a_worker_that_is_gone_is_followed_by_another_once_its_lease_ends",
        ),
    ),
    "Edit-and-replay": Row(
        ("/events/{id}/edit",),
        ("event edit-and-replay",),
        ("POST /events/{event}/edit-and-replay",),
        (
            "test_an_edited_event_is_another_one_and_the_original_stays_as_it_came",
            "test_an_event_is_edited_beside_the_original_once_it_was_tried",
        ),
        "a role of its own; linked both ways",
    ),
    "Discard with reason": Row(
        ("/dead-letters/list",),
        ("dead discard", "dead restore"),
        ("POST /dead-letters/discard", "POST /dead-letters/restore"),
        ("test_some_are_discarded_with_a_reason_and_restored",),
        "can be taken back",
    ),
    "Pause, resume queue": Row(
        ("/connections/{id}",),
        ("connection pause", "connection resume", "feed pause"),
        ("POST /connections/{connection}/pause", "POST /feeds/{feed}/pause"),
        ("test_a_connection_is_paused_resumed_rotated_and_retired",),
        "a connection or a feed; a lane or a worker: " + NOT,
    ),
    "Schedule: see, run now, snooze": Row(
        ("/events/{id}",),
        ("event show", "dead replay"),
        ("GET /events/{event}",),
        ("test_what_waits_is_told_as_it_is_later",),
        "the next try is shown; to try what waits at once, or later, by hand: " + NOT,
    ),
    "Audit of operators' actions": Row(
        ("/audit",),
        ("audit list",),
        ("GET /audit",),
        (
            "test_the_audit_tells_what_people_did_and_on_demand_all",
            "test_every_operator_command_speaks_json_and_leaves_an_audit_row",
        ),
        "with reason, before and after",
    ),
    "Alerts": Row(
        ("/",),
        ("operator alerts",),
        ("GET /alerts",),
        (
            "test_what_comes_and_goes_is_one_alert",
            "test_a_program_hears_of_alerts_signed_and_grouped",
        ),
        "mail and signed webhook, grouped, with an all clear",
    ),
    "Prometheus": Row(
        tests=("test_metrics_need_a_token_and_tell_zero_as_zero",),
        note="`/metrics`, `worker --metrics-port`; rules and dashboard in deploy/monitoring",
    ),
    "Roles": Row(
        ("/",),
        ("operator add", "operator role"),
        ("GET /status",),
        (
            "test_who_may_not_is_told_so_and_sees_no_button",
            "test_c4_nothing_of_another_account_is_shown_found_or_done",
            "test_what_was_taken_away_a_second_ago_is_gone",
        ),
        "four roles, of all accounts or of one with its children",
    ),
    "Field redaction": Row(
        ("/events/{id}",),
        ("event show",),
        ("GET /events/{event}",),
        (
            "test_a_story_tells_all_and_its_body_by_permission",
            "test_who_sees_no_bodies_sees_no_addresses_in_errors",
        ),
    ),
    "Dark mode": Row(("/",), tests=("test_a_theme_is_chosen_and_kept",)),
    "Live updates": Row(
        ("/", "/events"),
        ("status", "event tail"),
        ("GET /events/tail",),
        (
            "test_what_comes_in_shows_by_itself",
            "test_the_live_part_is_replaced_and_keeps_what_is_open_and_focused",
        ),
    ),
    "CLI parity": Row(
        tests=(
            "test_each_command_is_an_operation_of_the_api_or_says_why_not",
            "test_every_listing_has_json",
        ),
        note="deploy/parity.md",
    ),
    "Public API": Row(
        tests=("test_the_description_tells_every_operation_with_its_scope_and_its_problems",),
        note="`/api/openapi.json`",
    ),
}
#: What users of those tools ask for, some since 2012.
ASKED: Mapping[str, Row] = {
    "Durable history": Row(
        ("/events", "/audit"),
        tests=("test_charts_are_drawn_of_minutes_that_outlive_the_process",),
    ),
    "Retry uses the original bytes": Row(
        commands=("dead replay",),
        tests=("test_an_edited_event_is_another_one_and_the_original_stays_as_it_came",),
    ),
    "The filter is the scope: the count shown is the count acted on": Row(
        ("/replays/{id}",),
        ("replay plan",),
        ("POST /replays",),
        ("test_g8_the_report_of_a_plan_carried_out_equals_the_plan",),
    ),
    "A frozen set": Row(
        commands=("replay plan",), tests=("test_g8_what_comes_after_the_plan_is_not_in_it",)
    ),
    "Ramp, rate, pause, cancel": Row(
        ("/replays/{id}",),
        ("replay start", "replay pause", "replay cancel"),
        tests=("test_a_ramp_goes_on_step_by_step_and_stops_at_its_failure_ratio",),
    ),
    "Order kept on retry": Row(
        tests=("test_events_of_a_subject_are_tried_in_the_order_in_which_they_came",)
    ),
    "Group by cause": Row(
        ("/dead-letters",),
        ("dead groups",),
        ("GET /dead-letters/groups",),
        ("test_from_the_cause_over_the_domain_and_the_plan_to_the_report",),
    ),
    "Never attempted apart from failed": Row(
        ("/dead-letters",),
        ("dead groups",),
        ("GET /dead-letters/groups",),
        ("test_groups_tell_causes_the_day_and_what_was_never_attempted",),
    ),
    "Undo of a discard": Row(
        ("/dead-letters/list",),
        ("dead restore",),
        ("POST /dead-letters/restore",),
        ("test_a_discard_needs_a_reason_and_can_be_taken_back",),
    ),
    "No dangerous default": Row(
        commands=("dead replay",),
        tests=("test_an_empty_selection_is_refused_and_nothing_matched_is_said",),
    ),
    "The whole of it at 3 a.m.": Row(
        ("/",),
        ("dead groups", "domain allow", "replay plan", "replay start"),
        tests=("test_g8_dead_letters_are_understood_mended_and_replayed_while_a_worker_dies",),
    ),
    "Who had access to what, when, on whose word": Row(
        ("/groups",),
        ("directory review",),
        ("GET /accounts/{account}/access-review",),
        ("test_each_interval_names_the_word_that_began_and_the_word_that_ended_it",),
    ),
    "Erasure with proof": Row(
        pages=("/people/{id}",),
        commands=("user delete", "erasure verify"),
        operations=("DELETE /users/{user}", "GET /erasures/{erasure}/verification"),
        tests=("test_u5_whatever_is_left_is_found_wherever_it_stands",),
        note="verified by command and API; in the console: " + NOT,
    ),
    "One trace from request to change": Row(
        tests=("test_the_change_is_in_the_trace_of_the_request_that_asked_for_it",),
        note="OpenTelemetry, an extra; mails and requests to applications are no part of it: "
        + NOT,
    ),
}


def _table(rows: Mapping[str, Row]) -> list[str]:
    files = existing()
    lines = ["| | console | `rosterd` | `/api/v1` | shown by | |", "|---|---|---|---|---|---|"]
    for title, row in rows.items():
        tests = [f"`{files[name]}::{name}`" for name in row.tests]
        cells = (
            *(_codes(some) for some in (row.pages, row.commands, row.operations)),
            "<br>".join(tests),
            row.note,
        )
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _codes(names: tuple[str, ...]) -> str:
    return "<br>".join(f"`{name}`" for name in names)


def text() -> str:
    """The whole of deploy/operators.md."""
    lines = [
        "# What operators want, and where it is",
        "",
        ABOUT,
        "",
        *_table(FEATURES),
        "",
        "## What users ask for",
        "",
        *_table(ASKED),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
