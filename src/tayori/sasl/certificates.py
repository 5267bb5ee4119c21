"""Who a TLS client certificate logs in as, for SASL EXTERNAL (RFC 4422 A). Nobody, unless asked for.

`tayori_sasl_external_maps` are asked first, with each of these keys until one is found: the fingerprint of the
certificate and of its public key (smtpd_tls_fingerprint_digest; also for self-signed ones, since the handshake proved
the private key), and, of a certificate with a trusted chain, `email:ADDRESS`, `dns:NAME` and `subject:NAME`.
`tayori_sasl_external_names` (email, subject) says which names of a trusted certificate count as login names as they
stand: use it only where smtpd_tls_CAfile is an authority of your own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from cryptography import x509

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.tls import TlsSession
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

log = logging.getLogger("tayori.sasl")
MAPS, NAMES = "tayori_sasl_external_maps", "tayori_sasl_external_names"
KINDS = ("email", "subject")


class Certificates:
    """The rules, read once. False when nothing is configured. Raises ConfigError."""

    def __init__(self, settings: Settings, tables: Tables | None) -> None:
        self._names = settings.items(NAMES)
        for name in self._names:
            if name not in KINDS:
                raise ConfigError(
                    f"{NAMES}: {name} is not known", settings.origin_of(NAMES, name), "known are: " + " ".join(KINDS)
                )
        self._maps = Maps.from_settings(tables or Tables(settings), settings, MAPS) if settings.items(MAPS) else None
        self._digest = settings.text("smtpd_tls_fingerprint_digest") or "sha256"

    def __bool__(self) -> bool:
        return bool(self._names) or self._maps is not None

    async def identity(self, tls: TlsSession) -> str:
        """The login name; "" for none. A table that cannot answer is logged and counts as none."""
        if tls.peer_certificate is None:
            return ""
        names = list(_names(tls.peer_certificate, tls.subject_cn())) if tls.verified else []
        if self._maps is not None:
            prints = (tls.cert_fingerprint(self._digest), tls.pubkey_fingerprint(self._digest))
            for key in (*prints, *(f"{kind}:{name}" for kind, name in names)):
                answer = await self._maps.lookup(key)
                if isinstance(answer, TempFail):
                    log.warning("%s cannot be asked: %s; no EXTERNAL for this session", MAPS, answer.why)
                    return ""
                if isinstance(answer, Found) and answer.value.strip():
                    return str(answer.value.strip())
        for wanted in self._names:
            for kind, name in names:
                if kind == wanted and name.isprintable():
                    return name
        return ""


def _names(certificate: x509.Certificate, subject: str) -> Iterator[tuple[str, str]]:
    """(kind, name) of a certificate: its alternative names (RFC 5280 4.2.1.6), then its common name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        yield from (("email", name) for name in names.get_values_for_type(x509.RFC822Name))
        yield from (("dns", name) for name in names.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        pass
    if subject:
        yield "subject", subject
