"""UUCP, QMQP, source routing and other old mail."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "UUCP, QMQP, source routing and other pre-Internet mail"

ROWS: tuple[Row, ...] = (
    Row("allow_percent_hack", Kind.FLAG, "yes", status=Status.ACCEPTED, reason=REASON),
    Row("allow_untrusted_routing", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row("best_mx_transport", Kind.SERVICE, "", status=Status.ACCEPTED, reason=REASON),
    Row("ignore_mx_lookup_error", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row("qmqpd_authorized_clients", Kind.NETWORKS, "", status=Status.ACCEPTED, reason=REASON),
    Row("qmqpd_error_delay", Kind.TIME, "1s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("qmqpd_timeout", Kind.TIME, "300s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("smtp_quote_rfc821_envelope", Kind.FLAG, "yes", status=Status.ACCEPTED, reason=REASON),
    Row("swap_bangpath", Kind.FLAG, "yes", status=Status.ACCEPTED, reason=REASON),
    Row("backwards_bounce_logfile_compatibility", Kind.FLAG, "yes", status=Status.ACCEPTED, reason=REASON),
    Row("dont_remove", Kind.NUMBER, "0", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("sender_based_routing", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row("sun_mailtool_compatibility", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row("qmqpd_client_port_logging", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
)
