"""Address verification."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "finer address-verification knobs"

ROWS: tuple[Row, ...] = (
    Row(
        "address_verify_map",
        Kind.TABLES,
        "$default_cache_db_type:$data_directory/verify_cache",
        status=Status.PLANNED,
        reason="issue 4",
    ),
    Row("address_verify_sender", Kind.TEXT, "$double_bounce_sender", status=Status.PLANNED, reason="issue 4"),
    Row(
        "address_verify_positive_expire_time",
        Kind.TIME,
        "31d",
        status=Status.PLANNED,
        reason="issue 4",
        unit="d",
        low=0,
    ),
    Row(
        "address_verify_positive_refresh_time",
        Kind.TIME,
        "7d",
        status=Status.PLANNED,
        reason="issue 4",
        unit="d",
        low=0,
    ),
    Row("address_verify_negative_cache", Kind.FLAG, "yes", status=Status.PLANNED, reason="issue 4"),
    Row(
        "address_verify_negative_expire_time",
        Kind.TIME,
        "3d",
        status=Status.PLANNED,
        reason="issue 4",
        unit="d",
        low=0,
    ),
    Row(
        "address_verify_negative_refresh_time",
        Kind.TIME,
        "3h",
        status=Status.PLANNED,
        reason="issue 4",
        unit="h",
        low=0,
    ),
    Row(
        "unverified_recipient_reject_code",
        Kind.CODE,
        "450",
        status=Status.PLANNED,
        reason="issue 4",
        low=200,
        high=599,
    ),
    Row("unverified_recipient_reject_reason", Kind.TEXT, "", status=Status.PLANNED, reason="issue 4"),
    Row(
        "unverified_sender_reject_code", Kind.CODE, "450", status=Status.PLANNED, reason="issue 4", low=200, high=599
    ),
    Row("unverified_sender_reject_reason", Kind.TEXT, "", status=Status.PLANNED, reason="issue 4"),
    Row(
        "address_verify_default_transport", Kind.SERVICE, "$default_transport", status=Status.ACCEPTED, reason=REASON
    ),
    Row("address_verify_local_transport", Kind.SERVICE, "$local_transport", status=Status.ACCEPTED, reason=REASON),
    Row(
        "address_verify_cache_cleanup_interval",
        Kind.TIME,
        "12h",
        status=Status.ACCEPTED,
        reason=REASON,
        unit="h",
        low=0,
    ),
    Row("address_verify_poll_count", Kind.NUMBER, "${stress?{1}:{3}}", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("address_verify_poll_delay", Kind.TIME, "3s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("address_verify_relay_transport", Kind.SERVICE, "$relay_transport", status=Status.ACCEPTED, reason=REASON),
    Row("address_verify_relayhost", Kind.TEXT, "$relayhost", status=Status.ACCEPTED, reason=REASON),
    Row("address_verify_transport_maps", Kind.TABLES, "$transport_maps", status=Status.ACCEPTED, reason=REASON),
    Row(
        "address_verify_virtual_transport", Kind.SERVICE, "$virtual_transport", status=Status.ACCEPTED, reason=REASON
    ),
    Row(
        "unverified_recipient_defer_code", Kind.CODE, "450", status=Status.ACCEPTED, reason=REASON, low=200, high=599
    ),
    Row("unverified_sender_defer_code", Kind.CODE, "450", status=Status.ACCEPTED, reason=REASON, low=200, high=599),
    Row(
        "address_verify_sender_dependent_relayhost_maps",
        Kind.TABLES,
        "$sender_dependent_relayhost_maps",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "unverified_recipient_tempfail_action",
        Kind.TEXT,
        "$reject_tempfail_action",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "unverified_sender_tempfail_action",
        Kind.TEXT,
        "$reject_tempfail_action",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "address_verify_sender_dependent_default_transport_maps",
        Kind.TABLES,
        "$sender_dependent_default_transport_maps",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("address_verify_sender_ttl", Kind.TIME, "0s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("address_verify_pending_request_limit", Kind.NUMBER, "5000", status=Status.ACCEPTED, reason=REASON, low=0),
)
