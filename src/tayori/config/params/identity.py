"""Who this server is, where its files are, and what it weighs."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row(
        "myhostname",
        Kind.TEXT,
        "localhost.localdomain",
        "The full Internet name of this mail server; it greets and signs Received headers with it.",
    ),
    Row(
        "mydomain",
        Kind.TEXT,
        "localdomain",
        "The Internet domain of this mail server, without the machine's own name.",
    ),
    Row(
        "myorigin",
        Kind.TEXT,
        "$myhostname",
        "The domain added to addresses of mail written on this machine that have none.",
    ),
    Row(
        "mydestination",
        Kind.DOMAINS,
        "$myhostname, localhost.$mydomain, localhost",
        "Domains whose mail is delivered to the users of this machine.",
    ),
    Row(
        "mynetworks",
        Kind.NETWORKS,
        "127.0.0.0/8",
        "Networks whose clients are trusted and may relay mail to anywhere.",
    ),
    Row(
        "mynetworks_style",
        Kind.CHOICE,
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
        "How mynetworks is worked out when it is not set.",
        choices=("class", "subnet", "host"),
    ),
    Row("inet_interfaces", Kind.LIST, "all", "The addresses of this machine on which mail is received."),
    Row("inet_protocols", Kind.LIST, "all", "Whether IPv4, IPv6 or both are used."),
    Row(
        "proxy_interfaces",
        Kind.LIST,
        "",
        "Addresses at which this server is reached through a proxy or address translation.",
    ),
    Row(
        "relay_domains",
        Kind.DOMAINS,
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        "Domains for which mail is taken and passed on to another server.",
    ),
    Row("relayhost", Kind.TEXT, "", "The server to which all mail for other domains is handed."),
    Row(
        "compatibility_level",
        Kind.TEXT,
        "0",
        "The Postfix version whose defaults this configuration was written for.",
    ),
    Row(
        "parent_domain_matches_subdomains",
        Kind.LIST,
        (
            ""
            "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps"
        ),
        "The settings in which example.com also stands for its subdomains.",
    ),
    Row("append_at_myorigin", Kind.FLAG, "yes", "Whether @$myorigin is added to an address without a domain."),
    Row(
        "append_dot_mydomain",
        Kind.FLAG,
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        "Whether .$mydomain is added to a domain without a dot.",
    ),
    Row(
        "recipient_delimiter",
        Kind.TEXT,
        "",
        "The characters that separate a user name from its extension, as in user+lists.",
    ),
    Row("smtpd_banner", Kind.TEXT, "$myhostname ESMTP $mail_name", "The text after 220 that greets each client."),
    Row("mail_name", Kind.TEXT, "Postfix", "The name of the mail system in the banner and in Received headers."),
    Row("config_directory", Kind.PATH, "/etc/postfix", "The folder that holds main.cf and master.cf."),
    Row("queue_directory", Kind.PATH, "/var/spool/postfix", "The folder that holds the queue."),
    Row("mail_owner", Kind.TEXT, "postfix", "The user as whom the unprivileged part of the server runs."),
    Row(
        "default_privs",
        Kind.TEXT,
        "nobody",
        "The user as whom commands and files of aliases are used when no other user is known.",
    ),
    Row("message_size_limit", Kind.NUMBER, "10240000", "The largest message in bytes, envelope included.", low=0),
    Row(
        "mailbox_size_limit",
        Kind.NUMBER,
        "51200000",
        "The largest mailbox or Maildir file in bytes; 0 means no limit.",
        low=0,
    ),
    Row(
        "default_database_type",
        Kind.TEXT,
        "hash",
        "The table type that postmap and postalias take when none is named.",
    ),
    Row(
        "soft_bounce",
        Kind.FLAG,
        "no",
        "Whether permanent refusals are turned into temporary ones, for trying out a configuration.",
    ),
    Row(
        "mail_version",
        Kind.TEXT,
        "3.12.0",
        "The version of Postfix.",
        status=Status.ACCEPTED,
        why="It can be shown as $mail_version in a banner; changing it changes no behaviour.",
    ),
    Row(
        "data_directory",
        Kind.PATH,
        "/var/lib/postfix",
        "The folder for caches and other state that only the server writes.",
    ),
    Row(
        "setgid_group",
        Kind.TEXT,
        "postdrop",
        "The group of postdrop and postqueue.",
        status=Status.ACCEPTED,
        why="No program here needs it: sendmail hands mail over by a socket that knows who calls.",
    ),
)
