"""permit_tls_clientcerts, permit_tls_all_clientcerts (postconf(5), relay_clientcerts)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.origin import Origin
from tayori.policy.answers import PERMIT, Answer, lookup_failed
from tayori.policy.networks import client_name
from tayori.policy.rule import Rule
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation


def relay_clientcerts(compiler: Compiler, argument: str, origin: Origin | None) -> Maps:
    """The tables of permitted fingerprints. Raises ConfigError."""
    del argument, origin
    place = compiler.settings.origin("relay_clientcerts")
    return Maps(compiler.services.tables.open(name, place) for name in compiler.settings.items("relay_clientcerts"))


async def permit_tls_clientcerts(run: Evaluation, rule: Rule) -> Answer:
    """Permit a client whose certificate's or key's fingerprint is listed in relay_clientcerts."""
    tls = run.facts.tls
    if tls is None:
        return None
    for print_ in (tls.cert_fingerprint, tls.pubkey_fingerprint):
        if not print_:
            continue
        answer = await rule.prepared.lookup(print_)
        if isinstance(answer, TempFail):
            return lookup_failed(client_name(run), answer.why)
        if isinstance(answer, Found):
            run.note(f"{print_} in relay_clientcerts", answer.value)
            return PERMIT
    return None


async def permit_tls_all_clientcerts(run: Evaluation, rule: Rule) -> Answer:
    """Permit a client whose certificate has a trusted chain."""
    del rule
    tls = run.facts.tls
    if tls is None or not tls.verified or not tls.cert_fingerprint:
        return None
    run.note("client certificate", f"verified, {tls.subject_cn}")
    return PERMIT
