"""Fine tuning of the queue manager."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "queue-manager scheduler fine tuning"

ROWS: tuple[Row, ...] = (
    Row("default_delivery_slot_cost", Kind.NUMBER, "5", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_extra_recipient_limit", Kind.NUMBER, "1000", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_minimum_delivery_slots", Kind.NUMBER, "3", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_recipient_limit", Kind.NUMBER, "20000", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_recipient_refill_limit", Kind.NUMBER, "100", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_recipient_refill_delay", Kind.TIME, "5s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("fast_flush_domains", Kind.DOMAINS, "$relay_domains", status=Status.ACCEPTED, reason=REASON),
    Row("fast_flush_purge_time", Kind.TIME, "7d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row("fast_flush_refresh_time", Kind.TIME, "12h", status=Status.ACCEPTED, reason=REASON, unit="h", low=0),
    Row("hash_queue_depth", Kind.NUMBER, "1", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("hash_queue_names", Kind.LIST, "deferred, defer", status=Status.ACCEPTED, reason=REASON),
    Row("in_flow_delay", Kind.TIME, "1s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("local_destination_recipient_limit", Kind.NUMBER, "1", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmgr_message_recipient_limit", Kind.NUMBER, "20000", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmgr_message_recipient_minimum", Kind.NUMBER, "10", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "relay_destination_concurrency_limit",
        Kind.NUMBER,
        "$default_destination_concurrency_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row(
        "relay_destination_recipient_limit",
        Kind.NUMBER,
        "$default_destination_recipient_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row(
        "virtual_destination_concurrency_limit",
        Kind.NUMBER,
        "$default_destination_concurrency_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row("transport_retry_time", Kind.TIME, "60s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_delivery_slot_discount", Kind.NUMBER, "50", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("default_delivery_slot_loan", Kind.NUMBER, "3", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmgr_clog_warn_time", Kind.TIME, "300s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmgr_fudge_factor", Kind.NUMBER, "100", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("destination_concurrency_feedback_debug", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row(
        "default_destination_concurrency_failed_cohort_limit",
        Kind.NUMBER,
        "1",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row("default_destination_concurrency_negative_feedback", Kind.TEXT, "1", status=Status.ACCEPTED, reason=REASON),
    Row("default_destination_concurrency_positive_feedback", Kind.TEXT, "1", status=Status.ACCEPTED, reason=REASON),
    Row("qmgr_ipc_timeout", Kind.TIME, "60s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmgr_daemon_timeout", Kind.TIME, "1000s", status=Status.ACCEPTED, reason=REASON, low=0),
)
