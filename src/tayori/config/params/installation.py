"""Where programs and papers are installed; several instances; log rotation."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON_1 = "installed-file locations and documentation paths"
REASON_2 = "multi-instance manager (postmulti): containers or separate config directories instead"
REASON_3 = "maillog_file rotation: journald or the host rotates"

ROWS: tuple[Row, ...] = (
    Row("command_directory", Kind.PATH, "/usr/sbin", status=Status.ACCEPTED, reason=REASON_1),
    Row("mail_release_date", Kind.TEXT, "20260821", status=Status.ACCEPTED, reason=REASON_1),
    Row("mailq_path", Kind.PATH, "/usr/bin/mailq", status=Status.ACCEPTED, reason=REASON_1),
    Row("manpage_directory", Kind.PATH, "/usr/local/man", status=Status.ACCEPTED, reason=REASON_1),
    Row("newaliases_path", Kind.PATH, "/usr/bin/newaliases", status=Status.ACCEPTED, reason=REASON_1),
    Row("html_directory", Kind.TEXT, "no", status=Status.ACCEPTED, reason=REASON_1),
    Row("readme_directory", Kind.TEXT, "no", status=Status.ACCEPTED, reason=REASON_1),
    Row("sample_directory", Kind.PATH, "/etc/postfix", status=Status.ACCEPTED, reason=REASON_1),
    Row("sendmail_path", Kind.PATH, "/usr/sbin/sendmail", status=Status.ACCEPTED, reason=REASON_1),
    Row("alternate_config_directories", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON_2),
    Row("multi_instance_directories", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON_2),
    Row("multi_instance_wrapper", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON_2),
    Row("multi_instance_group", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON_2),
    Row("multi_instance_name", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON_2),
    Row("multi_instance_enable", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON_2),
    Row("postmulti_start_commands", Kind.LIST, "start", status=Status.ACCEPTED, reason=REASON_2),
    Row("postmulti_stop_commands", Kind.LIST, "stop abort drain quick-stop", status=Status.ACCEPTED, reason=REASON_2),
    Row("postmulti_control_commands", Kind.LIST, "reload flush", status=Status.ACCEPTED, reason=REASON_2),
    Row("maillog_file_prefixes", Kind.TEXT, "/var, /dev/stdout", status=Status.ACCEPTED, reason=REASON_3),
    Row("maillog_file_compressor", Kind.TEXT, "gzip", status=Status.ACCEPTED, reason=REASON_3),
    Row("maillog_file_rotate_suffix", Kind.TEXT, "%Y%m%d-%H%M%S", status=Status.ACCEPTED, reason=REASON_3),
    Row("maillog_file_permissions", Kind.TEXT, "0600", status=Status.ACCEPTED, reason=REASON_3),
)
