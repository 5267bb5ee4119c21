"""What each restriction's refusal means, and what would help: rows for `causes`, the relay rules aside.

Fields of a text: about, client, domain, argument, looked_up, found, login. A mend may name a parameter, whose line is
then shown; without one the line of the refusing rule is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tayori.programs.language import N_


@dataclass(frozen=True, slots=True)
class Case:
    """`when` must be found in the reply, or in what was looked up; "" always is. `mends`: (text, parameter or "")."""

    cause: str
    mends: tuple[tuple[str, str], ...]
    when: str = ""
    table: str = ""
    """What must be found in the name of what was looked up."""


TROUBLE = Case(
    N_("A table or server that this rule asks gave no answer: {looked_up}: {found}."),
    ((N_("Mend the table or server; tayori check says whether it can be reached. Until then mail is put off."), ""),),
    r"^451 4\.3\.[05]|Temporary lookup failure|Server configuration",
)
UNKNOWN_USER = (
    Case(
        N_("{domain} is in mydestination, and no user and no alias is called {about}."),
        (
            (N_("If the name is right: make the user (adduser), or add an alias to the alias file."), "alias_maps"),
            (N_("If the mailboxes lie elsewhere: set local_recipient_maps."), "local_recipient_maps"),
        ),
        "in local recipient table",
    ),
    Case(
        N_("{domain} is in virtual_alias_domains, and no virtual alias names {about}."),
        ((N_('Add a line "{about} destination" to the table.'), "virtual_alias_maps"),),
        "in virtual alias table",
    ),
    Case(
        N_("{domain} is in virtual_mailbox_domains, and no mailbox is listed for {about}."),
        (
            (N_("Add the mailbox to the table."), "virtual_mailbox_maps"),
            (N_("If it should be an alias: add it to virtual_alias_maps."), "virtual_alias_maps"),
        ),
        "in virtual mailbox table",
    ),
    Case(
        N_("{domain} is in relay_domains, and relay_recipient_maps does not list {about}."),
        ((N_("Add the address to the table."), "relay_recipient_maps"),),
        "in relay recipient table",
    ),
    Case(
        N_("{about} has moved: the relocated table says so."),
        ((N_("Remove the entry if it is out of date."), "relocated_maps"),),
        "moved to|has changed",
    ),
    Case(
        N_("A transport that refuses mail (error:) is set for {about}."),
        ((N_("If mail should be taken again: change that entry."), "transport_maps"),),
        table=" in transport_maps: ",
    ),
    Case(N_("{about} does not exist here: {looked_up}: {found}."), ((N_("Add it to the table of that list."), ""),)),
)
TABLE = (
    Case(
        N_("The table {argument} says so: {looked_up}: {found}."),
        ((N_("Change or remove that entry, or put an entry DUNNO for {about} before it."), ""),),
    ),
)
CLIENT_NAMES = (
    Case(
        N_("DNS has no host name for the address {client} (no PTR record), or could not be asked."),
        (
            (N_("Whoever runs {client} must have its provider set a PTR record."), ""),
            (N_("To make an exception: check_client_access with {client} OK before this rule."), ""),
        ),
        "reverse",
    ),
    Case(
        N_("The client's address and host name do not confirm each other in DNS: {looked_up}: {found}."),
        (
            (N_("Whoever runs {client} must set PTR and A records that fit together."), ""),
            (N_("Gentler: reject_unknown_reverse_client_hostname, which only wants a PTR record."), ""),
            (N_("To make an exception: check_client_access with {client} OK before this rule."), ""),
        ),
    ),
)
HELO_FORM = (
    Case(
        N_("The client greeted with {about}, which is not a full host name."),
        (
            (N_("In the client's mail program set its full name, as in mail.example.com (Postfix: myhostname)."), ""),
            (N_("Clients that you trust: permit_mynetworks, permit_sasl_authenticated before this rule."), ""),
        ),
    ),
)
ADDRESS_FORM = (
    Case(
        N_("The address {about} has no full domain behind the @."),
        (
            (N_("Write the whole address in the sending program, as in taro@example.com."), ""),
            (N_("Clients that you trust: permit_mynetworks, permit_sasl_authenticated before this rule."), ""),
        ),
    ),
)
NULL_MX = Case(
    N_("The domain {domain} says in DNS that it takes no mail at all (null MX)."),
    ((N_("The sender must use an address that can be answered."), ""),),
    "nullMX",
)
DOMAIN = (
    NULL_MX,
    Case(
        N_("DNS could not be asked about {domain} just then: {found}."),
        ((N_("The client tries again by itself; if it lasts, look at this machine's DNS (/etc/resolv.conf)."), ""),),
        r"^4\d\d .*\btime|SERVFAIL|Timeout|timed out",
    ),
    Case(
        N_("DNS knows no mail server and no address for {domain}, so nobody could answer: {looked_up}: {found}."),
        (
            (N_("Look for a typing error in the domain; its owner must set MX or A records."), ""),
            (N_("To make an exception: check_sender_access with {domain} OK before this rule."), ""),
        ),
    ),
)
HELO_NAME = (
    Case(
        N_("DNS knows no address for the name that the client greeted with: {looked_up}: {found}."),
        (
            (N_("The client must greet with a name that exists in DNS; this rule refuses many honest servers."), ""),
            (N_("To make an exception: check_helo_access with that name OK before this rule."), ""),
        ),
    ),
)
LISTED = (
    Case(
        N_("The block list {argument} names the client or domain: {looked_up}: {found}."),
        (
            (N_("Its owner can ask that list, on its web page, to be taken off."), ""),
            (N_("To let it in now: check_client_access with {client} OK before this rule."), ""),
            (N_("127.255.255.…: the list refuses your DNS server; ask it through a resolver of your own."), ""),
        ),
    ),
)
OWNER = (
    Case(
        N_("The address {about} belongs to a login, and the client had not logged in: {looked_up}: {found}."),
        (
            (N_("Log in before sending with this address."), ""),
            (N_("A machine of yours that may do so without: put permit_mynetworks before this rule."), ""),
        ),
        "not logged in",
    ),
    Case(
        N_("The client was logged in as {login}, but that address belongs to: {found}."),
        (
            (N_('Add the login {login} to the entry of the address, or a line "address {login}".'),
             "smtpd_sender_login_maps"),
            (N_("Or set the sender address of the mail program to one that belongs to {login}."), ""),
        ),
    ),
)  # fmt: skip
TLS = (
    Case(
        N_("The session was not encrypted, and this rule wants it to be."),
        ((N_("Turn on STARTTLS in the client."), ""),),
    ),
)
SERVICE = (
    Case(
        N_("The policy service {argument} could not be asked: {found}."),
        ((N_("Start that service, or look at its socket or port; tayori check knocks at it."), ""),),
        "Server configuration problem",
    ),
    Case(
        N_("Greylisting: {argument} puts off the first mail of a stranger on purpose: {found}."),
        (
            (N_("Nothing is to be done: an honest server tries again after some minutes and is let in."), ""),
            (N_("For a sender that must not wait: the whitelist of that service, or an OK before this rule."), ""),
        ),
        "(?i)gr[ea]ylist|try again later|try later",
    ),
    Case(
        N_("The policy service {argument} decided: {found}."),
        ((N_("Look into that service's own log and settings."), ""),),
    ),
)
VERIFY = (
    Case(
        N_("The address {about} was tried at its own server, which gave no clear answer yet: {found}."),
        ((N_("The client tries again by itself; by then the answer is usually known."), ""),),
        "unverified address",
    ),
    Case(
        N_("The address {about} was tried at its own server, which does not take mail for it: {found}."),
        (
            (N_("The address must accept mail; the answer is asked for again when it is out of date."), ""),
            (N_("To make an exception: an access table with OK before this rule."), ""),
        ),
    ),
)
PIPELINING = (
    Case(
        N_("The client spoke before its turn, as programs that only send spam do."),
        ((N_("Real mail programs do not; a proxy or filter in between may be the cause."), ""),),
    ),
)
MULTI = (
    Case(
        N_("A bounce (sender <>) came for several recipients at once."),
        ((N_("Real bounces go to one recipient; the rule belongs into smtpd_data_restrictions."), ""),),
    ),
)
ALWAYS = (
    Case(
        N_("This rule refuses whatever comes to it; no permit before it fitted."),
        ((N_("A permit for this client must stand before it."), ""),),
    ),
)

KNOWN: dict[str, tuple[Case, ...]] = {
    "reject_unlisted_recipient": UNKNOWN_USER,
    "reject_unlisted_sender": UNKNOWN_USER,
    "reject_unknown_client_hostname": CLIENT_NAMES[1:],
    "reject_unknown_reverse_client_hostname": CLIENT_NAMES[:1],
    "reject_unknown_forward_client_hostname": CLIENT_NAMES[1:],
    "reject_invalid_helo_hostname": HELO_FORM,
    "reject_non_fqdn_helo_hostname": HELO_FORM,
    "reject_unknown_helo_hostname": HELO_NAME,
    "reject_non_fqdn_sender": ADDRESS_FORM,
    "reject_non_fqdn_recipient": ADDRESS_FORM,
    "reject_unknown_sender_domain": DOMAIN,
    "reject_unknown_recipient_domain": DOMAIN,
    "reject_sender_login_mismatch": OWNER,
    "reject_authenticated_sender_login_mismatch": OWNER,
    "reject_unauthenticated_sender_login_mismatch": OWNER,
    "reject_known_sender_login_mismatch": OWNER,
    "reject_plaintext_session": TLS,
    "check_policy_service": SERVICE,
    "reject_unverified_sender": VERIFY,
    "reject_unverified_recipient": VERIFY,
    "reject_unauth_pipelining": PIPELINING,
    "reject_multi_recipient_bounce": MULTI,
    "reject": ALWAYS,
    "defer": ALWAYS,
    "defer_if_permit": ALWAYS,
}


def cases(restriction: str) -> tuple[Case, ...]:
    """The rows of a restriction; empty for an unknown one."""
    if restriction in KNOWN:
        return KNOWN[restriction]
    if restriction.startswith(("reject_rbl_", "reject_rhsbl_")):
        return LISTED
    if restriction.startswith("check_") and restriction.endswith("_access"):
        return TABLE
    return ()


def case(restriction: str, reply: str, found: str, looked_up: str = "") -> Case | None:
    """The row that fits a refusal."""
    rows = cases(restriction)
    policy = restriction == "check_policy_service"
    for one in rows if policy or not rows else (TROUBLE, *rows):
        if one.table not in looked_up:
            continue
        if not one.when or re.search(one.when, reply) or re.search(one.when, found):
            return one
    return None
