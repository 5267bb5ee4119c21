"""Table files and helpers."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status
from tayori.config.params.words import NO_BERKELEY, NO_MIGRATION, NO_PROXYMAP

ROWS: tuple[Row, ...] = (
    Row(
        "berkeley_db_create_buffer_size",
        Kind.NUMBER,
        "16777216",
        "Memory for building a Berkeley DB table.",
        status=Status.ACCEPTED,
        why=NO_BERKELEY,
        low=0,
    ),
    Row(
        "berkeley_db_read_buffer_size",
        Kind.NUMBER,
        "131072",
        "Memory for reading a Berkeley DB table.",
        status=Status.ACCEPTED,
        why=NO_BERKELEY,
        low=0,
    ),
    Row(
        "lmdb_map_size",
        Kind.NUMBER,
        "16777216",
        "The first size of an LMDB table in bytes.",
        status=Status.ACCEPTED,
        why="LMDB tables are only read here, at whatever size they have.",
        low=0,
    ),
    Row(
        "proxy_read_maps",
        Kind.TABLES,
        "$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains "
        "$virtual_mailbox_maps $virtual_mailbox_domains $relay_recipient_maps $relay_domains "
        "$canonical_maps $sender_canonical_maps $recipient_canonical_maps $relocated_maps "
        "$transport_maps $mynetworks $smtpd_sender_login_maps $sender_bcc_maps $recipient_bcc_maps "
        "$smtp_generic_maps $lmtp_generic_maps $alias_maps $smtpd_client_restrictions "
        "$smtpd_helo_restrictions $smtpd_sender_restrictions $smtpd_relay_restrictions "
        "$smtpd_recipient_restrictions $address_verify_sender_dependent_default_transport_maps "
        "$address_verify_sender_dependent_relayhost_maps $address_verify_transport_maps "
        "$fallback_transport_maps $lmtp_discard_lhlo_keyword_address_maps "
        "$lmtp_pix_workaround_maps $lmtp_sasl_password_maps $lmtp_tls_policy_maps "
        "$mailbox_command_maps $mailbox_transport_maps "
        "$postscreen_discard_ehlo_keyword_address_maps $rbl_reply_maps "
        "$sender_dependent_default_transport_maps $sender_dependent_relayhost_maps "
        "$smtp_discard_ehlo_keyword_address_maps $smtp_pix_workaround_maps "
        "$smtp_sasl_password_maps $smtp_tls_policy_maps $smtpd_discard_ehlo_keyword_address_maps "
        "$smtpd_milter_maps $virtual_gid_maps $virtual_uid_maps $local_login_sender_maps "
        "$postscreen_reject_footer_maps $smtpd_reject_footer_maps $tls_server_sni_maps "
        "$tlsproxy_client_policy_maps $default_delivery_status_filter $lmtp_delivery_status_filter "
        "$lmtp_dns_reply_filter $lmtp_reply_filter $local_delivery_status_filter "
        "$pipe_delivery_status_filter $postscreen_command_filter $smtp_delivery_status_filter "
        "$smtp_dns_reply_filter $smtp_reply_filter $smtpd_command_filter $smtpd_dns_reply_filter "
        "$virtual_delivery_status_filter $body_checks $header_checks $lmtp_body_checks "
        "$lmtp_header_checks $lmtp_mime_header_checks $lmtp_nested_header_checks "
        "$milter_header_checks $mime_header_checks $nested_header_checks $smtp_body_checks "
        "$smtp_header_checks $smtp_mime_header_checks $smtp_nested_header_checks",
        "Tables that may be read through proxymap(8).",
        status=Status.ACCEPTED,
        why=NO_PROXYMAP,
    ),
    Row(
        "proxy_write_maps",
        Kind.TABLES,
        "$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map",
        "Tables that may be written through proxymap(8).",
        status=Status.ACCEPTED,
        why=NO_PROXYMAP,
    ),
    Row(
        "socketmap_max_reply_size",
        Kind.NUMBER,
        "100000",
        "The longest reply of a socketmap server.",
        status=Status.ACCEPTED,
        why="The default, 100000 bytes, always holds.",
        low=0,
    ),
    Row(
        "socketmap_max_query_size",
        Kind.NUMBER,
        "100000",
        "The longest query to a socketmap server.",
        status=Status.ACCEPTED,
        why="The server's own limit decides.",
        low=0,
    ),
    Row(
        "default_cache_db_type",
        Kind.TEXT,
        "btree",
        "The table type of Postfix's caches.",
        status=Status.ACCEPTED,
        why="Caches are SQLite files in the queue folder.",
    ),
    Row(
        "non_bdb_migration_allow_root_prefixes",
        Kind.TEXT,
        "",
        "Folders in which root's tables may be rebuilt without Berkeley DB.",
        status=Status.ACCEPTED,
        why=NO_MIGRATION,
    ),
    Row(
        "non_bdb_migration_allow_user_prefixes",
        Kind.TEXT,
        "",
        "Folders in which users' tables may be rebuilt without Berkeley DB.",
        status=Status.ACCEPTED,
        why=NO_MIGRATION,
    ),
    Row(
        "non_bdb_custom_mapping",
        Kind.TEXT,
        "",
        "Which table type stands in for which Berkeley DB type.",
        status=Status.ACCEPTED,
        why=NO_MIGRATION,
    ),
    Row(
        "non_bdb_migration_level",
        Kind.CHOICE,
        "disable",
        "How far the move away from Berkeley DB goes.",
        status=Status.ACCEPTED,
        why=NO_MIGRATION,
        choices=("disable", "enable-redirect", "enable-reindex"),
    ),
    Row(
        "non_bdb_migration_log_redirect",
        Kind.TEXT,
        "",
        "Whether each replaced table type is logged.",
        status=Status.ACCEPTED,
        why=NO_MIGRATION,
    ),
)
