"""Virtual domains."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row(
        "virtual_alias_domains",
        Kind.DOMAINS,
        "$virtual_alias_maps",
        "Domains in which every address is an alias for another.",
    ),
    Row("virtual_alias_maps", Kind.TABLES, "$virtual_maps", "Tables that rewrite recipient addresses of any domain."),
    Row(
        "virtual_mailbox_domains",
        Kind.DOMAINS,
        "$virtual_mailbox_maps",
        "Domains whose mailboxes belong to no system user.",
    ),
    Row("virtual_mailbox_maps", Kind.TABLES, "", "Tables that hold each valid virtual address and its mailbox."),
    Row("virtual_mailbox_base", Kind.PATH, "", "The folder that is put before each path from virtual_mailbox_maps."),
    Row("virtual_uid_maps", Kind.TABLES, "", "Tables that give the owner of each virtual mailbox."),
    Row("virtual_gid_maps", Kind.TABLES, "", "Tables that give the group of each virtual mailbox."),
    Row(
        "virtual_mailbox_limit",
        Kind.NUMBER,
        "51200000",
        "The largest virtual mailbox file in bytes; 0 means no limit.",
        low=0,
    ),
)
