"""Which mechanisms are offered, in which order, and why the others are not.

The order is that of mech_list (as Cyrus gives it), else by strength. Taken away, in this order: unknown words, those
that no back end can serve, smtpd_sasl_mechanism_filter, the security options (with TLS those of
smtpd_sasl_tls_security_options), and what this session lacks (channel binding, client certificate).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tayori.config.origin import ConfigError
from tayori.config.phrase import Phrase
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.mechanisms import MECHANISMS, SECURITY_OPTIONS, Row, gssapi
from tayori.sasl.verifiers.base import Verifier
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.registry import Tables

# Not offered unless mech_list names them: broken or open to everybody.
ON_REQUEST = {
    "CRAM-MD5": Phrase(
        "off by default: it needs plain passwords on the server and can be guessed from what is overheard (RFC 2195)"
    ),
    "DIGEST-MD5": Phrase("off by default: it is obsolete (RFC 6331)"),
    "ANONYMOUS": Phrase("off by default: it lets anybody in"),
    "GSSAPI": Phrase("off by default: it needs a Kerberos keytab for this host"),
}
# Needs of mechanisms that ask no back end.
ALONE = ("gssapi", "certificate", "nothing")
NOT_NAMED = Phrase("mech_list does not name it")


@dataclass(frozen=True, slots=True)
class Removed:
    """A mechanism that is not offered. `tls` is None when it never is, else the TLS state in which it is not.

    `kind` says for `check` what took it away: default, unknown, unnamed, filter, certificate, keytab, the name of a
    security option, or what no back end could give (password, secrets, token)."""

    mechanism: str
    setting: str
    why: str
    tls: bool | None = None
    kind: str = ""


class Offer:
    """Worked out once; `names` per session is a look-up. Raises ConfigError for unknown options and bad filters."""

    def __init__(
        self, settings: Settings, conf: SmtpdConf, verifiers: Sequence[Verifier], tables: Tables | None = None
    ) -> None:
        self._rows: dict[bool, tuple[Row, ...]] = {}
        self.removed: list[Removed] = []
        rows = self._filtered(self._asked_for(conf), settings, tables)
        external = any(settings.items(name) for name in ("tayori_sasl_external_maps", "tayori_sasl_external_names"))
        rows = self._served(rows, settings, conf, verifiers, external)
        self.alone = all(row.needs in ALONE for row in rows)
        for tls, parameter in ((False, "smtpd_sasl_security_options"), (True, "smtpd_sasl_tls_security_options")):
            options = security_options(settings, parameter)
            kept = []
            for row in rows:
                option = row.traits.permitted_by(options)
                if option:
                    why = f"the option {option} does not allow it"
                    self.removed.append(Removed(row.name, parameter, why, tls, option))
                else:
                    kept.append(row)
            self._rows[tls] = tuple(kept)
        self._plain = {tls: tuple(r.name for r in kept if _always(r)) for tls, kept in self._rows.items()}
        self._all_plain = {tls: all(_always(r) for r in kept) for tls, kept in self._rows.items()}

    def names(self, tls: bool, channel_bindings: Collection[str] = (), external: str = "") -> tuple[str, ...]:
        """What to offer in a session: `tls` is whether it is on, `external` the certificate's identity."""
        if self._all_plain[tls] or not (channel_bindings or external):
            return self._plain[tls]
        return tuple(
            row.name
            for row in self._rows[tls]
            if _always(row) or (row.plus and channel_bindings) or (row.needs == "certificate" and external)
        )

    def _asked_for(self, conf: SmtpdConf) -> list[Row]:
        words = [word.upper() for word in conf.words("mech_list")]
        if not words:
            for name, off in ON_REQUEST.items():
                if name in MECHANISMS:
                    self.removed.append(Removed(name, "mech_list", off, kind="default"))
            rows = [row for row in MECHANISMS.values() if row.name not in ON_REQUEST]
            return sorted(rows, key=lambda row: -row.strength)
        rows = []
        for word in dict.fromkeys(words):
            if word not in MECHANISMS:
                why = "tayori does not know this mechanism"
                self.removed.append(Removed(word, "mech_list", why, kind="unknown"))
                continue
            plus = MECHANISMS.get(f"{word}-PLUS")
            if plus is not None and plus.name not in words:
                rows.append(plus)
            rows.append(MECHANISMS[word])
        for name in MECHANISMS:
            if name not in words and name.removesuffix("-PLUS") not in words:
                self.removed.append(Removed(name, "mech_list", NOT_NAMED, kind="unnamed"))
        return rows

    def _filtered(self, rows: list[Row], settings: Settings, tables: Tables | None) -> list[Row]:
        if not settings.text("smtpd_sasl_mechanism_filter"):
            return rows
        wanted = MatchList.from_settings(
            tables or Tables(settings), settings, "smtpd_sasl_mechanism_filter", Kind.STRING
        )
        kept = []
        default = not settings.is_set("smtpd_sasl_mechanism_filter")
        for row in rows:
            if row.needs == "certificate" and default:
                kept.append(row)  # offered only to a certificate that tayori_sasl_external_* name
            elif _at_once(wanted, row.name, settings):
                kept.append(row)
            else:
                why = "the filter leaves it out"
                self.removed.append(Removed(row.name, "smtpd_sasl_mechanism_filter", why, kind="filter"))
        return kept

    def names_alone(self, tls: bool, external: str = "") -> tuple[str, ...]:
        """The same while no back end can be asked: the mechanisms that need none."""
        return tuple(name for name in self.names(tls, (), external) if MECHANISMS[name].needs in ALONE)

    def _served(
        self, rows: list[Row], settings: Settings, conf: SmtpdConf, verifiers: Sequence[Verifier], external: bool
    ) -> list[Row]:
        names = " ".join(verifier.name for verifier in verifiers) or "no back end"
        setting = "pwcheck_method" if conf.path else "smtpd_sasl_auth_enable"
        kept = []
        for row in rows:
            if row.needs == "certificate" and not external:
                why = "no certificate logs in: tayori_sasl_external_maps and tayori_sasl_external_names are empty"
                self.removed.append(Removed(row.name, "tayori_sasl_external_maps", why, kind="certificate"))
                continue
            if row.needs == "gssapi":
                service = settings.text("smtpd_sasl_service") or "smtp"
                why = gssapi.trouble(service, settings.text("myhostname"), conf.get("keytab"))
                if why:
                    self.removed.append(Removed(row.name, "keytab", why, kind="keytab"))
                    continue
            if row.needs in ALONE or any(serves(verifier, row) for verifier in verifiers):
                kept.append(row)
            else:
                self.removed.append(Removed(row.name, setting, _cannot(names, row.needs), kind=row.needs))
        return kept


def _cannot(names: str, needs: str) -> str:
    if needs == "secrets":
        return Phrase("{names} cannot give stored secrets", names=names)
    if needs == "token":
        return Phrase("{names} cannot check tokens", names=names)
    return Phrase("{names} cannot check passwords", names=names)


def serves(verifier: Verifier, row: Row) -> bool:
    """Whether a back end can serve a mechanism. Optional attributes of a verifier: `tokens`, `passwords`,
    `properties` (the names that `fetch` may give; absent: any)."""
    if row.needs == "password":
        return bool(getattr(verifier, "passwords", True))
    if row.needs == "token":
        return bool(getattr(verifier, "tokens", False))
    if row.needs == "secrets":
        properties = getattr(verifier, "properties", None)
        return verifier.secrets and (properties is None or bool(set(row.wanted) & set(properties)))
    return False


def _always(row: Row) -> bool:
    return not row.plus and row.needs != "certificate"


def security_options(settings: Settings, parameter: str) -> frozenset[str]:
    """The words of a security options parameter. Raises ConfigError for one that there is not."""
    options = frozenset(word.lower() for word in settings.items(parameter))
    unknown = sorted(options - SECURITY_OPTIONS)
    if unknown:
        mend = "known are: " + " ".join(sorted(SECURITY_OPTIONS))
        raise ConfigError(f"{parameter}: {unknown[0]} is not known", settings.origin_of(parameter, unknown[0]), mend)
    return options


def _at_once(wanted: MatchList, name: str, settings: Settings) -> bool:
    """Ask a match list from plain code: local tables answer without waiting."""
    question = wanted.match(name)
    try:
        question.send(None)
    except StopIteration as answer:
        return bool(answer.value)
    question.close()
    raise ConfigError(
        "smtpd_sasl_mechanism_filter: a table that must be waited for",
        settings.origin("smtpd_sasl_mechanism_filter"),
        "name mechanisms, files or local tables",
    )
