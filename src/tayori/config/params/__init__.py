"""All parameters by name: one module of rows per group, merged here.

To add a parameter write one Row in the module of its group; docs/parameters.md is made from the rows.
"""

from __future__ import annotations

from tayori.config.params import (
    content,
    delegation,
    deprecated,
    details,
    identity,
    installation,
    lmtp,
    lmtp_tls,
    local,
    milter,
    old_mail,
    postscreen,
    postscreen_tls,
    processes,
    queue,
    rewriting,
    sasl,
    scheduler,
    service_names,
    smtp_client,
    smtp_client_more,
    smtpd_limits,
    smtpd_more,
    smtpd_restrictions,
    tables,
    tls_client,
    tls_more,
    tls_policy,
    tls_server,
    tls_worker,
    transports,
    verification,
    virtual,
)
from tayori.config.params.row import Group, Kind, Row, Status

__all__ = ["GROUPS", "PARAMETERS", "TEMPLATE", "TEMPLATES", "Group", "Kind", "Row", "Status", "row_of"]

GROUPS: tuple[Group, ...] = (
    Group("Content rules and logging", content.ROWS),
    Group("Policy service, content filter, proxies and trusted hops", delegation.ROWS),
    Group("Old names that a modern one takes over", deprecated.ROWS),
    Group("Message form, local delivery and look-up details", details.ROWS),
    Group("Who this server is, where its files are, and what it weighs", identity.ROWS),
    Group("Where programs and papers are installed; several instances; log rotation", installation.ROWS),
    Group("LMTP client: the mirror of smtp_ parameters", lmtp.ROWS),
    Group("LMTP client: the mirror of smtp_tls_ and smtp_sasl_ parameters", lmtp_tls.ROWS),
    Group("Local delivery and aliases", local.ROWS),
    Group("Milters", milter.ROWS),
    Group("UUCP, QMQP, source routing and other old mail", old_mail.ROWS),
    Group("postscreen", postscreen.ROWS),
    Group("TLS of postscreen", postscreen_tls.ROWS),
    Group("Process mechanics of master(8)", processes.ROWS),
    Group("Names of Postfix's own services", service_names.ROWS),
    Group("Queue, retries, bounces and notices", queue.ROWS),
    Group("Routing, rewriting and copies", rewriting.ROWS),
    Group("SASL, server and client", sasl.ROWS),
    Group("Fine tuning of the queue manager", scheduler.ROWS),
    Group("The SMTP client", smtp_client.ROWS),
    Group("Finer knobs of the SMTP client", smtp_client_more.ROWS),
    Group("Limits, strictness and extras of the SMTP server", smtpd_limits.ROWS),
    Group("Finer knobs of the SMTP server", smtpd_more.ROWS),
    Group("Who may send what: rules and reply codes of the SMTP server", smtpd_restrictions.ROWS),
    Group("Table files and helpers", tables.ROWS),
    Group("TLS of the SMTP client", tls_client.ROWS),
    Group("Finer TLS knobs", tls_more.ROWS),
    Group("TLS policy, TLSRPT and REQUIRETLS", tls_policy.ROWS),
    Group("TLS of the SMTP server", tls_server.ROWS),
    Group("tlsproxy, Postfix's TLS process", tls_worker.ROWS),
    Group("Templates: transport_ stands for the name of a master.cf service", transports.ROWS),
    Group("Address verification", verification.ROWS),
    Group("Virtual domains", virtual.ROWS),
)
PARAMETERS: dict[str, Row] = {row.name: row for group in GROUPS for row in group.rows}
TEMPLATE = "transport"
# The longest first: maildrop_extra_recipient_limit follows _extra_recipient_limit, not _recipient_limit.
TEMPLATES: dict[str, Row] = {
    row.name.removeprefix(TEMPLATE): row for row in sorted(transports.ROWS, key=lambda row: -len(row.name))
}


def row_of(name: str) -> Row | None:
    """The row of a parameter, or of the template it follows (`maildrop_time_limit` follows `transport_time_limit`).

    None for a name that is neither, such as one of the user's own.
    """
    row = PARAMETERS.get(name)
    if row is None and "_" in name:
        for suffix, template in TEMPLATES.items():
            if name.endswith(suffix) and len(name) > len(suffix):
                return template
    return row
