"""Every restriction by name (postconf(5) smtpd_*_restrictions): one function, one entry.

To add one: write `async def name(run, rule) -> Answer` in the file of its idea, and a line here.
"""

from __future__ import annotations

from tayori.policy.generic import (
    code,
    defer,
    defer_if_permit,
    defer_if_reject,
    permit,
    permit_sasl_authenticated,
    reject,
    reject_plaintext_session,
    reject_unauth_pipelining,
    sasl_enabled,
    seconds,
    sleep,
)
from tayori.policy.listed import reject_unlisted_recipient, reject_unlisted_sender
from tayori.policy.names import (
    reject_invalid_helo_hostname,
    reject_non_fqdn_helo_hostname,
    reject_non_fqdn_recipient,
    reject_non_fqdn_sender,
)
from tayori.policy.networks import own_addresses, permit_inet_interfaces, permit_mynetworks
from tayori.policy.relay import (
    Destinations,
    defer_unauth_destination,
    permit_auth_destination,
    reject_unauth_destination,
)
from tayori.policy.rule import Restriction

NON_FQDN = code("non_fqdn_reject_code")

RESTRICTIONS: dict[str, Restriction] = {
    "permit": Restriction(permit),
    "reject": Restriction(reject, code("reject_code")),
    "defer": Restriction(defer, code("defer_code")),
    "defer_if_permit": Restriction(defer_if_permit),
    "defer_if_reject": Restriction(defer_if_reject),
    "sleep": Restriction(sleep, seconds, argument=True),
    "reject_plaintext_session": Restriction(reject_plaintext_session, code("plaintext_reject_code")),
    "reject_unauth_pipelining": Restriction(reject_unauth_pipelining),
    "permit_sasl_authenticated": Restriction(permit_sasl_authenticated, sasl_enabled),
    "permit_mynetworks": Restriction(permit_mynetworks),
    "permit_inet_interfaces": Restriction(permit_inet_interfaces, own_addresses),
    "permit_auth_destination": Restriction(permit_auth_destination, Destinations),
    "reject_unauth_destination": Restriction(reject_unauth_destination, Destinations),
    "defer_unauth_destination": Restriction(defer_unauth_destination, Destinations),
    "reject_unlisted_recipient": Restriction(reject_unlisted_recipient),
    "reject_unlisted_sender": Restriction(reject_unlisted_sender),
    "reject_invalid_helo_hostname": Restriction(reject_invalid_helo_hostname, code("invalid_hostname_reject_code")),
    "reject_non_fqdn_helo_hostname": Restriction(reject_non_fqdn_helo_hostname, NON_FQDN),
    "reject_non_fqdn_sender": Restriction(reject_non_fqdn_sender, NON_FQDN),
    "reject_non_fqdn_recipient": Restriction(reject_non_fqdn_recipient, NON_FQDN),
}

# Names of older Postfix releases, and what they are today.
OLD_SPELLINGS: dict[str, tuple[str, ...]] = {
    "check_recipient_maps": ("reject_unlisted_recipient",),
    "check_relay_domains": ("permit_auth_destination", "reject"),
    "reject_invalid_hostname": ("reject_invalid_helo_hostname",),
    "reject_non_fqdn_hostname": ("reject_non_fqdn_helo_hostname",),
}

# One of these must stand in smtpd_relay_restrictions or smtpd_recipient_restrictions (postconf(5)).
RELAY_GUARDS = frozenset(
    ("reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit")
)
