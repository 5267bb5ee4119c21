"""UUCP, QMQP, source routing and other old mail."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status
from tayori.config.params.words import QMQP

ROWS: tuple[Row, ...] = (
    Row("allow_percent_hack", Kind.FLAG, "yes", "Whether user%domain means user@domain."),
    Row(
        "allow_untrusted_routing",
        Kind.FLAG,
        "no",
        "Whether strangers may route mail with @, % or ! inside the user name.",
    ),
    Row(
        "best_mx_transport",
        Kind.SERVICE,
        "",
        (
            "The transport for mail of which this server turns out to be the best MX host, though it does "
            "not know the domain."
        ),
        status=Status.PLANNED,
        why='It is not read yet: such mail is returned with "loops back to myself", as with the default.',
    ),
    Row("ignore_mx_lookup_error", Kind.FLAG, "no", "Whether trouble with an MX look-up counts as no MX record."),
    Row(
        "qmqpd_authorized_clients",
        Kind.NETWORKS,
        "",
        "Clients that may hand in mail by QMQP.",
        status=Status.ACCEPTED,
        why=QMQP,
    ),
    Row(
        "qmqpd_error_delay",
        Kind.TIME,
        "1s",
        "How long the QMQP server waits before it tells of an error.",
        status=Status.ACCEPTED,
        why=QMQP,
        low=0,
    ),
    Row(
        "qmqpd_timeout",
        Kind.TIME,
        "300s",
        "How long the QMQP server waits for a client.",
        status=Status.ACCEPTED,
        why=QMQP,
        low=0,
    ),
    Row(
        "smtp_quote_rfc821_envelope",
        Kind.FLAG,
        "yes",
        "Whether addresses in SMTP commands are quoted as RFC 5321 says.",
        status=Status.ACCEPTED,
        why="They always are, as with yes.",
    ),
    Row("swap_bangpath", Kind.FLAG, "yes", "Whether site!user means user@site."),
    Row(
        "backwards_bounce_logfile_compatibility",
        Kind.FLAG,
        "yes",
        "Whether bounce log files can be read by Postfix before 2.0.",
        status=Status.ACCEPTED,
        why="There are no bounce log files: the queue itself remembers why.",
    ),
    Row(
        "dont_remove",
        Kind.NUMBER,
        "0",
        'Whether finished queue files are kept in a folder "saved".',
        status=Status.ACCEPTED,
        why="Finished mail leaves the queue; tayori trace shows what became of it.",
        low=0,
    ),
    Row(
        "sender_based_routing",
        Kind.FLAG,
        "no",
        "A routing by sender that Postfix itself withdrew.",
        status=Status.ACCEPTED,
        why="Use sender_dependent_relayhost_maps.",
    ),
    Row(
        "sun_mailtool_compatibility",
        Kind.FLAG,
        "no",
        "Whether mailboxes are locked as SUN mailtool did.",
        status=Status.ACCEPTED,
        why="Write mailbox_delivery_lock = dotlock instead.",
    ),
    Row(
        "qmqpd_client_port_logging",
        Kind.FLAG,
        "no",
        "Whether the QMQP server logs the client's port.",
        status=Status.ACCEPTED,
        why=QMQP,
    ),
)
