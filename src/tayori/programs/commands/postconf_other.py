"""postconf(1) -m, -a, -A, -l, -T, -b and -t: what this mail system has built in."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator

from tayori.bounce.report import SUBJECTS, TEXTS
from tayori.bounce.rules import Kind
from tayori.config.lint.vocabulary import TABLE_TYPES
from tayori.config.origin import ConfigError
from tayori.programs.commands import postconf_read
from tayori.programs.commands.postconf_options import Options

SASL_SERVER = ("cyrus", "dovecot")
SASL_CLIENT = ("cyrus",)
LOCKS = ("flock", "fcntl", "dotlock")
PUBLIC_KEYS = ("dsa", "ecdsa", "rsa")


def _tls(options: Options) -> Iterable[str]:
    if options.tls == "public-key-algorithms":
        return PUBLIC_KEYS
    if options.tls in ("compile-version", "run-version"):
        # Python's ssl module tells the library it runs with; tayori itself is not compiled against one.
        return (ssl.OPENSSL_VERSION,)
    return ()


LISTS: dict[str, Callable[[Options], Iterable[str]]] = {
    "m": lambda _options: sorted(kind for kind, why in TABLE_TYPES.items() if not why),
    "a": lambda _options: SASL_SERVER,
    "A": lambda _options: SASL_CLIENT,
    "l": lambda _options: LOCKS,
    "T": _tls,
}
TITLES: dict[Kind, str] = {Kind.FAILED: "failure", Kind.DELAYED: "delay", Kind.SUCCESS: "success"}


def templates(options: Options, warn: Callable[[str], None]) -> Iterator[str]:
    """-t: the texts of reports as templates; -b: the part for people, filled in. Raises ConfigError."""
    settings = postconf_read.read(options, warn).settings
    if options.operands[:1] not in ([], [""]) or (not options.operands and settings.text("bounce_template_file")):
        raise ConfigError("templates of one's own are not read here", None, 'postconf -t "" shows the built-in ones')
    for kind, name in TITLES.items():
        if "t" in options.letters:
            subject, copy = SUBJECTS[kind]
            yield f"{name}_template = <<EOF"
            yield "Charset: utf-8"
            yield "From: Mail Delivery System <MAILER-DAEMON>"
            yield f"Subject: {subject}"
            yield f"Postmaster-Subject: {copy}"
            yield ""
            yield _filled(kind, "$myhostname", "$delay_warning_time", "$maximal_queue_lifetime")
        else:
            yield f"expanded_{name}_text = <<EOF"
            yield _filled(kind, *map(settings.text, ("myhostname", "delay_warning_time", "maximal_queue_lifetime")))
        yield "EOF\n"


def _filled(kind: Kind, hostname: str, warning: str, lifetime: str) -> str:
    returned = "The message is attached."
    return TEXTS[kind].format(hostname=hostname, warning=warning, lifetime=lifetime, returned=returned)
