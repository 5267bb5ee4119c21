"""CPU of one decision: a stranger's RCPT TO through twenty restrictions. `python bench/policy.py [ROUNDS]`.

Prints microseconds of user time per RCPT: all twenty asked and silent, the usual five, and what the trace costs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.policy import build
from tayori.policy.facts import ClientFacts, Facts, Stage

TWENTY = (
    "permit_mynetworks permit_sasl_authenticated permit_inet_interfaces reject_unauth_pipelining"
    " reject_invalid_helo_hostname reject_non_fqdn_helo_hostname reject_non_fqdn_sender reject_non_fqdn_recipient"
    " check_client_access inline:{a.b=REJECT} check_helo_access inline:{a.b=REJECT}"
    " check_sender_access inline:{a.b=REJECT} check_recipient_access inline:{a.b=REJECT}"
    " check_client_access inline:{203.0.113=REJECT} reject_unknown_client_hostname"
    " reject_unknown_reverse_client_hostname reject_sender_login_mismatch reject_multi_recipient_bounce"
    " reject_unlisted_sender reject_unlisted_recipient reject_unauth_destination"
)
FIVE = "permit_mynetworks permit_sasl_authenticated reject_non_fqdn_recipient reject_unauth_destination"
LISTS = {
    "twenty restrictions": TWENTY,
    "the usual four": FIVE,
    "nothing but the relay guard": "reject_unauth_destination",
}


async def measure(rules: str, rounds: int) -> float:
    """User microseconds per RCPT, the best of five."""
    policy = build({"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": rules})
    client = ClientFacts("192.0.2.9", 25, "host.ex.org", "host.ex.org", 2, 2)
    facts = Facts(client, Stage.RCPT, helo="host.ex.org", sender="someone@sender.example", recipient="u@example.com")
    verdict = await policy.rcpt(facts)
    assert verdict.permitted, verdict
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            await policy.rcpt(facts)
        best = min(best, (time.process_time() - start) / rounds * 1e6)
    return best


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    for name, rules in LISTS.items():
        print(f"{name:32} {asyncio.run(measure(rules, rounds)):8.1f} us per RCPT")


if __name__ == "__main__":
    main()
