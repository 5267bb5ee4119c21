"""Every restriction by name (postconf(5) smtpd_*_restrictions): one function, one entry.

To add one: write `async def name(run, rule) -> Answer` in the file of its idea, and a line here.
"""

from __future__ import annotations

from tayori.policy.access import (
    Access,
    CertificateAccess,
    check_ccert_access,
    check_client_access,
    check_etrn_access,
    check_helo_access,
    check_recipient_access,
    check_reverse_client_hostname_access,
    check_sasl_access,
    check_sender_access,
)
from tayori.policy.backup import Backup, permit_mx_backup, reject_multi_recipient_bounce
from tayori.policy.certificates import permit_tls_all_clientcerts, permit_tls_clientcerts, relay_clientcerts
from tayori.policy.delegation import PolicyServer, check_policy_service
from tayori.policy.dnsbl import DnsList, permit_listed, reject_listed
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
from tayori.policy.hosts import host_access
from tayori.policy.listed import reject_unlisted_recipient, reject_unlisted_sender
from tayori.policy.login import Owners, login_mismatch
from tayori.policy.names import (
    reject_invalid_helo_hostname,
    reject_non_fqdn_helo_hostname,
    reject_non_fqdn_recipient,
    reject_non_fqdn_sender,
)
from tayori.policy.networks import inet_interfaces, permit_inet_interfaces, permit_mynetworks
from tayori.policy.relay import (
    Destinations,
    defer_unauth_destination,
    permit_auth_destination,
    reject_unauth_destination,
)
from tayori.policy.rule import Resource, Restriction
from tayori.policy.unknown import (
    reject_unknown_client_hostname,
    reject_unknown_forward_client_hostname,
    reject_unknown_helo_hostname,
    reject_unknown_recipient_domain,
    reject_unknown_reverse_client_hostname,
    reject_unknown_sender_domain,
    unknown,
)
from tayori.policy.verification import reject_unverified, unverified

NON_FQDN = code("non_fqdn_reject_code")
UNKNOWN_CLIENT = code("unknown_client_reject_code")
UNKNOWN_ADDRESS = unknown("unknown_address_reject_code", "unknown_address_tempfail_action")
UNKNOWN_HELO = unknown("unknown_hostname_reject_code", "unknown_helo_hostname_tempfail_action")


def hosts_of(source: str, kind: str) -> Restriction:
    """check_SOURCE_KIND_access."""
    return Restriction(host_access(source, kind), Access, argument=True)


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
    "permit_inet_interfaces": Restriction(permit_inet_interfaces, inet_interfaces),
    "permit_auth_destination": Restriction(permit_auth_destination, Destinations),
    "reject_unauth_destination": Restriction(reject_unauth_destination, Destinations),
    "defer_unauth_destination": Restriction(defer_unauth_destination, Destinations),
    "reject_unlisted_recipient": Restriction(reject_unlisted_recipient),
    "reject_unlisted_sender": Restriction(reject_unlisted_sender),
    "reject_invalid_helo_hostname": Restriction(reject_invalid_helo_hostname, code("invalid_hostname_reject_code")),
    "reject_non_fqdn_helo_hostname": Restriction(reject_non_fqdn_helo_hostname, NON_FQDN),
    "reject_non_fqdn_sender": Restriction(reject_non_fqdn_sender, NON_FQDN),
    "reject_non_fqdn_recipient": Restriction(reject_non_fqdn_recipient, NON_FQDN),
    "check_client_access": Restriction(check_client_access, Access, argument=True),
    "check_reverse_client_hostname_access": Restriction(check_reverse_client_hostname_access, Access, argument=True),
    "check_helo_access": Restriction(check_helo_access, Access, argument=True),
    "check_sender_access": Restriction(check_sender_access, Access, argument=True),
    "check_recipient_access": Restriction(check_recipient_access, Access, argument=True),
    "check_etrn_access": Restriction(check_etrn_access, Access, argument=True),
    "check_sasl_access": Restriction(check_sasl_access, Access, argument=True),
    "check_ccert_access": Restriction(check_ccert_access, CertificateAccess, argument=True),
    "check_client_a_access": hosts_of("client", "A"),
    "check_client_mx_access": hosts_of("client", "MX"),
    "check_client_ns_access": hosts_of("client", "NS"),
    "check_reverse_client_hostname_a_access": hosts_of("reverse_client_hostname", "A"),
    "check_reverse_client_hostname_mx_access": hosts_of("reverse_client_hostname", "MX"),
    "check_reverse_client_hostname_ns_access": hosts_of("reverse_client_hostname", "NS"),
    "check_helo_a_access": hosts_of("helo", "A"),
    "check_helo_mx_access": hosts_of("helo", "MX"),
    "check_helo_ns_access": hosts_of("helo", "NS"),
    "check_sender_a_access": hosts_of("sender", "A"),
    "check_sender_mx_access": hosts_of("sender", "MX"),
    "check_sender_ns_access": hosts_of("sender", "NS"),
    "check_recipient_a_access": hosts_of("recipient", "A"),
    "check_recipient_mx_access": hosts_of("recipient", "MX"),
    "check_recipient_ns_access": hosts_of("recipient", "NS"),
    "check_policy_service": Restriction(check_policy_service, PolicyServer, argument=True),
    "reject_unknown_client_hostname": Restriction(reject_unknown_client_hostname, UNKNOWN_CLIENT),
    "reject_unknown_reverse_client_hostname": Restriction(reject_unknown_reverse_client_hostname, UNKNOWN_CLIENT),
    "reject_unknown_forward_client_hostname": Restriction(reject_unknown_forward_client_hostname, UNKNOWN_CLIENT),
    "reject_unknown_helo_hostname": Restriction(reject_unknown_helo_hostname, UNKNOWN_HELO),
    "reject_unknown_sender_domain": Restriction(reject_unknown_sender_domain, UNKNOWN_ADDRESS),
    "reject_unknown_recipient_domain": Restriction(reject_unknown_recipient_domain, UNKNOWN_ADDRESS),
    "reject_rbl_client": Restriction(reject_listed("address"), DnsList, argument=True),
    "reject_rhsbl_client": Restriction(reject_listed("client"), DnsList, argument=True),
    "reject_rhsbl_reverse_client": Restriction(reject_listed("reverse_client"), DnsList, argument=True),
    "reject_rhsbl_helo": Restriction(reject_listed("helo"), DnsList, argument=True),
    "reject_rhsbl_sender": Restriction(reject_listed("sender"), DnsList, argument=True),
    "reject_rhsbl_recipient": Restriction(reject_listed("recipient"), DnsList, argument=True),
    "permit_dnswl_client": Restriction(permit_listed("address"), DnsList, argument=True),
    "permit_rhswl_client": Restriction(permit_listed("client"), DnsList, argument=True),
    "reject_authenticated_sender_login_mismatch": Restriction(login_mismatch(True, False, False), Owners),
    "reject_unauthenticated_sender_login_mismatch": Restriction(login_mismatch(False, True, False), Owners),
    "reject_sender_login_mismatch": Restriction(login_mismatch(True, True, False), Owners),
    "reject_known_sender_login_mismatch": Restriction(login_mismatch(True, True, True), Owners),
    "permit_tls_clientcerts": Restriction(permit_tls_clientcerts, relay_clientcerts),
    "permit_tls_all_clientcerts": Restriction(permit_tls_all_clientcerts),
    "permit_mx_backup": Restriction(permit_mx_backup, Backup),
    "reject_multi_recipient_bounce": Restriction(
        reject_multi_recipient_bounce, code("multi_recipient_bounce_reject_code")
    ),
    "reject_unverified_sender": Restriction(reject_unverified(Resource.SENDER), unverified("sender")),
    "reject_unverified_recipient": Restriction(reject_unverified(Resource.RECIPIENT), unverified("recipient")),
}

# Names of older Postfix releases, and what they are today; `$name` repeats the word before it for each of its items.
OLD_SPELLINGS: dict[str, tuple[str, ...]] = {
    "check_recipient_maps": ("reject_unlisted_recipient",),
    "check_relay_domains": ("permit_auth_destination", "reject"),
    "permit_naked_ip_address": (),
    "reject_maps_rbl": ("reject_rbl_client", "$maps_rbl_domains"),
    "reject_rbl": ("reject_rbl_client",),
    "reject_unknown_address": ("reject_unknown_sender_domain",),
    "reject_unknown_client": ("reject_unknown_client_hostname",),
    "reject_unknown_hostname": ("reject_unknown_helo_hostname",),
    "check_address_map": ("check_client_access",),
    "reject_invalid_hostname": ("reject_invalid_helo_hostname",),
    "reject_non_fqdn_hostname": ("reject_non_fqdn_helo_hostname",),
}

# One of these must stand in smtpd_relay_restrictions or smtpd_recipient_restrictions (postconf(5)).
RELAY_GUARDS = frozenset(
    ("reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit")
)
