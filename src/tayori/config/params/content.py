"""Content rules and logging."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row("header_checks", Kind.TABLES, "", "Rules on message headers: header_checks(5)."),
    Row("mime_header_checks", Kind.TABLES, "$header_checks", "Rules on the MIME headers of a message and its parts."),
    Row("body_checks", Kind.TABLES, "", "Rules on body lines, by tables of patterns."),
    Row(
        "syslog_name",
        Kind.TEXT,
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        "The name before each log line.",
    ),
    Row(
        "syslog_facility",
        Kind.CHOICE,
        "mail",
        "The syslog facility of log lines.",
        choices=(
            "auth",
            "authpriv",
            "cron",
            "daemon",
            "kern",
            "lpr",
            "mail",
            "news",
            "security",
            "syslog",
            "user",
            "uucp",
            "local0",
            "local1",
            "local2",
            "local3",
            "local4",
            "local5",
            "local6",
            "local7",
        ),
    ),
    Row("maillog_file", Kind.PATH, "", "The log file; empty means syslog or standard error."),
)
