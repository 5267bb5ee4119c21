"""What `tayori check` says about logins: which mechanisms are not offered, taken away by which setting, and why.

The same offer is worked out as by the server, from the same back ends, but nobody is asked anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config import smtpdconf
from tayori.config.lint.finding import Finding
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl import verifier_choice
from tayori.sasl.offer import NOT_NAMED, ON_REQUEST, Offer, Removed
from tayori.tables.registry import Tables

OLD = ("CRAM-MD5", "DIGEST-MD5", "ANONYMOUS")


def logins(source: Source) -> Iterator[Finding]:
    """Notes for each smtpd that offers AUTH; an error where its back ends cannot be set up."""
    seen: set[tuple[str, str]] = set()
    for service, settings in source.smtpd_views:
        try:
            if service.command != "smtpd" or not settings.flag("smtpd_sasl_auth_enable"):
                continue
            if settings.text("smtpd_sasl_type") == "dovecot":
                continue
            found = list(_of(settings))
        except ConfigError:
            continue  # a value that the files' own checks report, with its line
        for finding in found:
            if (finding.title, str(finding.origin)) not in seen:
                seen.add((finding.title, str(finding.origin)))
                yield finding


def _of(settings: Settings) -> Iterator[Finding]:
    conf = smtpdconf.find(settings)
    verifiers = verifier_choice.choose(settings, conf)
    try:
        offer = Offer(settings, conf, verifiers, Tables(settings))
    finally:
        for verifier in verifiers:
            verifier.close()
    yield from _removed(offer.removed, settings, conf)
    for name in OLD:
        if name in offer.names(False) or name in offer.names(True):
            yield Finding(
                "note",
                "old-mechanism",
                conf.origin("mech_list") or _place("mech_list", settings, conf),
                f"{name} is offered, since mech_list names it",
                f"It {ON_REQUEST[name]}; without mech_list it would be off.",
                f"Take {name} out of mech_list unless an old client needs it.",
            )


def _removed(removed: list[Removed], settings: Settings, conf: SmtpdConf) -> Iterator[Finding]:
    """One note for each setting and reason, with all the mechanisms it takes away."""
    groups: dict[tuple[str, str, bool | None], list[str]] = {}
    for row in removed:
        # nobody misses what he left out himself, nor what needs a certificate or keytab that he has not set up
        unasked = row.mechanism == "EXTERNAL" or (row.mechanism == "GSSAPI" and row.setting == "mech_list")
        if row.why != NOT_NAMED and not unasked:
            groups.setdefault((row.setting, row.why, row.tls), []).append(row.mechanism)
    for (setting, why, tls), names in groups.items():
        state = {None: "", True: " with TLS", False: " without TLS"}[tls]
        verb = "are" if len(names) > 1 else "is"
        yield Finding(
            "note",
            "mechanism-not-offered",
            _place(setting, settings, conf),
            f"{', '.join(names)} {verb} not offered{state}, because of {setting}",
            f"{why[:1].upper()}{why[1:]}.",
            "",
        )


def _place(setting: str, settings: Settings, conf: SmtpdConf) -> Origin:
    """Where the setting is, or the file it would be in."""
    found = conf.origin(setting) or settings.origin(setting) or settings.origin("smtpd_sasl_auth_enable")
    return found or Origin(conf.path or f"{settings.directory}/main.cf")
