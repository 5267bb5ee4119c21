"""What `tayori check` says about logins: which mechanisms are not offered, taken away by which setting, and why.

The same offer is worked out as by the server, from the same back ends, but nobody is asked anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config import smtpdconf
from tayori.config.lint import sasl as lint
from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin
from tayori.config.phrase import Phrase
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl import verifier_choice
from tayori.sasl.authenticator import dovecot_of
from tayori.sasl.offer import Offer, Removed
from tayori.sasl.verifiers.base import Verifier
from tayori.tables.registry import Tables

CLEAR, TLS = "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"
NOT_OFFERED = Message(
    "note",
    "mechanism-not-offered",
    "login mechanisms not offered{state}, because of {setting}: {names}",
    "{why}",
    "",
)
NOBODY = Message(
    "warning",
    "no-mechanism-left",
    "nobody can log in{state}: no mechanism is left",
    "The notes about mechanisms that are not offered say what took each of them away.",
    "Take one of those settings back, or choose a back end that can serve what is left.",
)
OLD = Message(
    "note",
    "old-mechanism",
    "{name} is offered, since mech_list names it",
    "{why} Without mech_list it would be off.",
    "Take {name} out of mech_list unless an old client needs it.",
)
ANYBODY = Message(
    "warning",
    "anonymous-login",
    "anybody can log in: ANONYMOUS is offered",
    "It asks for no password, and permit_sasl_authenticated then lets the client send to anywhere.",
    "Take ANONYMOUS out of mech_list, or add noanonymous to smtpd_sasl_security_options.",
)
WRONG = Message(
    "error",
    "sasl-setting",
    "{what}",
    "The server does not start with this.",
    "{mend}",
)
ABOUT = {
    "CRAM-MD5": Phrase(
        "It needs plain passwords on the server, and what is overheard can be guessed from (RFC 2195)."
    ),
    "DIGEST-MD5": Phrase("It is obsolete (RFC 6331)."),
    "ANONYMOUS": Phrase("It lets in anybody."),
    "GSSAPI": Phrase("It needs a Kerberos keytab for this host."),
}
WHY = {
    "unknown": Phrase("tayori does not have it."),
    "filter": Phrase(
        "The filter does not let it through: it lists what may be offered. To leave out only some, write !name for "
        "each and static:rest at the end."
    ),
    "certificate": Phrase(
        "No certificate logs in, since tayori_sasl_external_maps and tayori_sasl_external_names are empty."
    ),
    "noplaintext": Phrase("The option noplaintext leaves out what sends the password itself."),
    "noactive": Phrase("The option noactive leaves out what gives way to somebody who changes what is sent."),
    "nodictionary": Phrase(
        "The option nodictionary leaves out what lets passwords be guessed from what is overheard."
    ),
    "noanonymous": Phrase("The option noanonymous leaves out what lets in anybody without a password."),
    "forward_secrecy": Phrase(
        "The option forward_secrecy leaves in only mechanisms with forward secrecy, and there are none here; TLS has "
        "it, whatever the mechanism."
    ),
    "mutual_auth": Phrase(
        "The option mutual_auth leaves in only mechanisms in which the server proves itself too: SCRAM, DIGEST-MD5, "
        "GSSAPI."
    ),
}


def logins(source: Source) -> Iterator[Finding]:
    """Notes for each smtpd that offers AUTH; an error where its back ends cannot be set up."""
    seen: set[tuple[str, str]] = set()
    for service, settings in source.smtpd_views:
        try:
            if service.command != "smtpd" or not settings.flag("smtpd_sasl_auth_enable"):
                continue
            found = list(_of(settings))
        except ConfigError:
            continue  # a value that the files' own checks report, with its line
        for finding in found:
            if (finding.title, str(finding.origin)) not in seen:
                seen.add((finding.title, str(finding.origin)))
                yield finding


def _of(settings: Settings) -> Iterator[Finding]:
    try:
        if dovecot_of(settings) is not None:
            return
    except ConfigError as error:
        yield _wrong(error, settings)
        return
    conf = smtpdconf.find(settings)
    verifiers = verifier_choice.choose(settings, conf)
    try:
        offer = Offer(settings, conf, verifiers, Tables(settings))
    except ConfigError as error:
        yield _wrong(error, settings)
        return
    finally:
        for verifier in verifiers:
            verifier.close()
    yield from _left(offer, settings, conf)
    yield from _removed(offer.removed, settings, conf, verifiers)
    for name in ("CRAM-MD5", "DIGEST-MD5"):
        if name in offer.names(False) or name in offer.names(True):
            yield OLD.at(_place("mech_list", settings, conf), name=name, why=ABOUT[name])
    if "ANONYMOUS" in offer.names(False) or "ANONYMOUS" in offer.names(True):
        yield ANYBODY.at(_place("mech_list", settings, conf))


def _wrong(error: ConfigError, settings: Settings) -> Finding:
    origin = error.origin or settings.origin("smtpd_sasl_auth_enable") or Origin(f"{settings.directory}/main.cf")
    return WRONG.at(origin, what=error.message, mend=error.mend)


def _left(offer: Offer, settings: Settings, conf: SmtpdConf) -> Iterator[Finding]:
    """Whether somebody can log in at all, in a state in which he may."""
    tls = lint.tls_offered(settings) and lint.certificate(settings)
    clear = not lint.encrypted_always(settings) and not settings.flag("smtpd_tls_auth_only")
    left = {state: bool(offer.names(state, ("tls-exporter",), "x")) for state in (False, True)}
    where = _place("mech_list" if conf.words("mech_list") else CLEAR, settings, conf)
    if not (clear and left[False]) and not (tls and left[True]):
        yield NOBODY.at(where, state="")
    elif tls and not left[True]:
        yield NOBODY.at(_place(TLS, settings, conf), state=Phrase(" with TLS"))


def _removed(
    removed: list[Removed], settings: Settings, conf: SmtpdConf, verifiers: tuple[Verifier, ...]
) -> Iterator[Finding]:
    """One note for each setting and reason, with all the mechanisms it takes away."""
    inherited = not settings.is_set(TLS)
    asked = {word.upper() for word in conf.words("mech_list")}
    groups: dict[tuple[str, str, bool | None, str], list[Removed]] = {}
    for row in removed:
        # nobody misses what he left out himself, nor what needs a certificate or keytab that he has not set up
        unasked = row.mechanism in ("EXTERNAL", "GSSAPI") and row.mechanism not in asked
        if row.kind == "unnamed" or unasked or (row.setting == TLS and inherited):
            continue
        tls = None if row.setting == CLEAR and inherited else row.tls
        group = row.kind if row.kind != "default" else row.mechanism
        groups.setdefault((row.setting, group, tls, row.why if group == "keytab" else ""), []).append(row)
    states = {None: "", True: Phrase(" with TLS"), False: Phrase(" without TLS")}
    for (setting, group, tls, text), rows in groups.items():
        yield NOT_OFFERED.at(
            _place(setting, settings, conf),
            state=states[tls],
            setting=setting,
            names=_names([row.mechanism for row in rows]),
            why=text[:1].upper() + text[1:] if text else _why(group, verifiers),
        )


def _why(kind: str, verifiers: tuple[Verifier, ...]) -> str:
    backends = " ".join(verifier.name for verifier in verifiers) or "-"
    if kind == "secrets":
        return Phrase(
            "These need plain passwords, or SCRAM keys of their kind for every user; {backends} has none to give.",
            backends=backends,
        )
    if kind == "token":
        return Phrase("These need a back end that checks tokens (oauth); {backends} checks none.", backends=backends)
    if kind == "password":
        return Phrase("These need a back end that checks passwords; {backends} checks none.", backends=backends)
    if kind in ABOUT:
        return Phrase("Off unless mech_list names it. {about}", about=ABOUT[kind])
    return WHY[kind]


def _names(names: list[str]) -> str:
    """SCRAM-SHA-256-PLUS goes without saying beside SCRAM-SHA-256."""
    return ", ".join(name for name in names if name.removesuffix("-PLUS") not in names or not name.endswith("-PLUS"))


def _place(setting: str, settings: Settings, conf: SmtpdConf) -> Origin:
    """Where the setting is, or the file it would be in."""
    found = conf.origin(setting) or settings.origin(setting)
    if found is None and setting in ("mech_list", "keytab", "pwcheck_method") and conf.path:
        found = conf.origin("mech_list") or Origin(conf.path)
    found = found or settings.origin("smtpd_sasl_auth_enable")
    return found or Origin(conf.path or f"{settings.directory}/main.cf")
