"""Address verification."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row(
        "address_verify_map",
        Kind.TABLES,
        "$default_cache_db_type:$data_directory/verify_cache",
        "Empty: what is known of addresses lives in memory only. Any other value: it is kept in verify.sqlite in the "
        "queue folder, a format of tayori's own, whatever table is named.",
    ),
    Row(
        "address_verify_sender",
        Kind.TEXT,
        "$double_bounce_sender",
        "The sender address of probes, empty is <>; mail to it is taken whatever the rules say.",
    ),
    Row(
        "address_verify_positive_expire_time",
        Kind.TIME,
        "31d",
        "How long a good state is believed without a refresh.",
        unit="d",
        low=0,
    ),
    Row(
        "address_verify_positive_refresh_time",
        Kind.TIME,
        "7d",
        "After how long a good state is asked for again.",
        unit="d",
        low=0,
    ),
    Row("address_verify_negative_cache", Kind.FLAG, "yes", "Whether failed probes are remembered."),
    Row(
        "address_verify_negative_expire_time",
        Kind.TIME,
        "3d",
        "How long a bad state is believed without a refresh.",
        unit="d",
        low=0,
    ),
    Row(
        "address_verify_negative_refresh_time",
        Kind.TIME,
        "3h",
        "After how long a bad state is asked for again.",
        unit="h",
        low=0,
    ),
    Row(
        "unverified_recipient_reject_code",
        Kind.CODE,
        "450",
        "The reply code for a recipient that a probe found undeliverable.",
        low=200,
        high=599,
    ),
    Row(
        "unverified_recipient_reject_reason",
        Kind.TEXT,
        "",
        "The text that clients see in place of what the probe found.",
    ),
    Row(
        "unverified_sender_reject_code",
        Kind.CODE,
        "450",
        "The reply code for a sender that a probe found undeliverable.",
        low=200,
        high=599,
    ),
    Row(
        "unverified_sender_reject_reason",
        Kind.TEXT,
        "",
        "The text that clients see in place of what the probe found.",
    ),
    Row(
        "address_verify_default_transport",
        Kind.SERVICE,
        "$default_transport",
        "Stands in for default_transport when an address is probed.",
    ),
    Row(
        "address_verify_local_transport",
        Kind.SERVICE,
        "$local_transport",
        "Stands in for local_transport when an address is probed.",
    ),
    Row(
        "address_verify_cache_cleanup_interval",
        Kind.TIME,
        "12h",
        "How often expired states are removed; 0 is never.",
        unit="h",
        low=0,
    ),
    Row(
        "address_verify_poll_count",
        Kind.NUMBER,
        "${stress?{1}:{3}}",
        "How often an answer is looked for; 1 does not wait for the probe.",
        low=0,
    ),
    Row("address_verify_poll_delay", Kind.TIME, "3s", "The time between two looks.", low=0),
    Row(
        "address_verify_relay_transport",
        Kind.SERVICE,
        "$relay_transport",
        "Stands in for relay_transport when an address is probed.",
    ),
    Row("address_verify_relayhost", Kind.TEXT, "$relayhost", "Stands in for relayhost when an address is probed."),
    Row(
        "address_verify_transport_maps",
        Kind.TABLES,
        "$transport_maps",
        "Stands in for transport_maps when an address is probed.",
    ),
    Row(
        "address_verify_virtual_transport",
        Kind.SERVICE,
        "$virtual_transport",
        "Stands in for virtual_transport when an address is probed.",
    ),
    Row(
        "unverified_recipient_defer_code",
        Kind.CODE,
        "450",
        "The reply code when a recipient cannot be verified now.",
        low=200,
        high=599,
    ),
    Row(
        "unverified_sender_defer_code",
        Kind.CODE,
        "450",
        "The reply code when a sender cannot be verified now.",
        low=200,
        high=599,
    ),
    Row(
        "address_verify_sender_dependent_relayhost_maps",
        Kind.TABLES,
        "$sender_dependent_relayhost_maps",
        "Stands in for sender_dependent_relayhost_maps when an address is probed.",
    ),
    Row(
        "unverified_recipient_tempfail_action",
        Kind.TEXT,
        "$reject_tempfail_action",
        "What happens when a recipient cannot be verified now.",
    ),
    Row(
        "unverified_sender_tempfail_action",
        Kind.TEXT,
        "$reject_tempfail_action",
        "What happens when a sender cannot be verified now.",
    ),
    Row(
        "address_verify_sender_dependent_default_transport_maps",
        Kind.TABLES,
        "$sender_dependent_default_transport_maps",
        "Stands in for sender_dependent_default_transport_maps when an address is probed.",
    ),
    Row(
        "address_verify_sender_ttl", Kind.TIME, "0s", "How often a probe's sender address changes; 0 is never.", low=0
    ),
    Row(
        "address_verify_pending_request_limit",
        Kind.NUMBER,
        "5000",
        "How many probes may be under way in one worker.",
        low=0,
    ),
)
