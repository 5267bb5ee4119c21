"""tayori explain-login: why a log-in works or does not.

    tayori explain-login USER [-c DIR] [--stdin | --last] [-m MECHANISM]

With a password (asked for at a terminal, or the first line of standard input with --stdin) every back end is asked
now, in the order of a real log-in. --last tells of the newest failed log-in of that name that the server saw.
Exit codes: 0 would be let in, 1 not, 75 could not be asked, 64 usage, 78 configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
import time

from tayori.config import smtpdconf
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.control import default_directory
from tayori.programs.daemons.layout import Layout
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.record import FILE_NAME, Attempt, FailedLogins, LoginRecord
from tayori.sasl.steps import Challenge, Failure, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater

EX_NO, EX_USAGE, EX_TEMPFAIL, EX_CONFIG = 1, 64, 75, 78


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("tayori explain-login", description="why a log-in works or does not")
    made.add_argument("user")
    made.add_argument("-c", dest="directory", default=default_directory(), metavar="DIR")
    made.add_argument("-m", dest="mechanism", default="PLAIN", choices=["PLAIN", "LOGIN"])
    how = made.add_mutually_exclusive_group()
    how.add_argument("--stdin", action="store_true", help="the password is the first line of standard input")
    how.add_argument("--last", action="store_true", help="tell of the last failed log-in instead")
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    try:
        settings = Settings.read(options.directory)
        conf = smtpdconf.find(settings)
        if options.last:
            return _tell_last(settings, conf, options.user)
        if options.stdin or not sys.stdin.isatty():
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = getpass.getpass(f"Password of {options.user}: ")
        return asyncio.run(_try(settings, conf, options.user, password, options.mechanism))
    except ConfigError as error:
        print(f"tayori explain-login: {error}", file=sys.stderr)
        return EX_CONFIG


def _tell_last(settings: Settings, conf: smtpdconf.SmtpdConf, user: str) -> int:
    path = Layout.of(settings).queue / FILE_NAME
    record = FailedLogins(path).last(user)
    if record is None:
        print(f"No failed log-in of {user} is noted in {path}.")
        return 0
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.when))
    print(f"{when}: {record.username} from {record.address} by {record.mechanism}")
    print("\n".join(_attempts(record.attempts)))
    print(f"Result: {'try later' if record.temporary else 'refused'}: {record.reason}")
    print("\n".join(advice(record, settings, conf)))
    return EX_NO


async def _try(settings: Settings, conf: smtpdconf.SmtpdConf, user: str, password: str, mechanism: str) -> int:
    silent = FailedLogins(os.devnull)  # what is tried here is no failed log-in of the server's
    authenticator = Authenticator(settings, conf, failed_logins=silent, on_login=lambda record: None)
    try:
        print(f"smtpd.conf: {conf.path or 'none was found'}")
        await authenticator.start()
        for line in _offers(authenticator):
            print(line)
        record = LoginRecord(mechanism, "127.0.0.1", time.time())
        if authenticator.dovecot is not None:
            name, realm = user, ""
            answer = await authenticator.dovecot.verify(name, password, realm, "smtp")
            words = {Accepted: "accepted", Refused: "refused", TryLater: "try later"}[type(answer)]
            record.attempts.append(Attempt(answer.source, user, words, getattr(answer, "why", "")))
            result: Success | Failure = (
                Success(answer.username)
                if isinstance(answer, Accepted)
                else Failure(answer.why, isinstance(answer, TryLater))
            )
        else:
            result, record = await _exchange(authenticator, user, password, mechanism)
    finally:
        authenticator.close()
    print(f"Mechanism: {mechanism}")
    print("\n".join(_attempts(record.attempts)))
    if isinstance(result, Success):
        print(f"Result: let in, as {result.username}")
        return 0
    print(f"Result: {'try later (454)' if result.temporary else 'refused (535)'}: {result.why}")
    record.temporary, record.reason = result.temporary, result.why
    print("\n".join(advice(record, settings, conf)))
    return EX_TEMPFAIL if result.temporary else EX_NO


async def _exchange(
    authenticator: Authenticator, user: str, password: str, mechanism: str
) -> tuple[Success | Failure, LoginRecord]:
    """As a client would, with TLS, so that options for plaintext do not hide what the back ends say."""
    name, secret = user.encode(), password.encode("utf-8", "surrogateescape")
    answers = [b"\0" + name + b"\0" + secret] if mechanism == "PLAIN" else [name, secret]
    exchange = authenticator.begin(mechanism, None, client_address="127.0.0.1", tls=True)
    step = await exchange.step()
    for answer in answers:
        if not isinstance(step, Challenge):
            break
        step = await exchange.step(answer)
    if isinstance(step, Challenge):
        return Failure("the exchange did not end"), exchange.record
    return step, exchange.record


def _offers(authenticator: Authenticator) -> list[str]:
    lines = []
    for tls, words in ((False, "without TLS"), (True, "with TLS")):
        offered = " ".join(authenticator.offered(tls)) or "none"
        lines.append(f"Offered {words}: {offered}")
    groups: dict[tuple[str, str], list[str]] = {}
    for name, setting, why in authenticator.removed():
        groups.setdefault((setting, why), []).append(name)
    lines += [f"Not offered, by {setting}: {', '.join(names)} ({why})" for (setting, why), names in groups.items()]
    if authenticator.settings.text("smtpd_tls_auth_only") == "yes":
        lines.append("(smtpd_tls_auth_only = yes: nothing is offered before TLS)")
    if authenticator.settings.text("smtpd_sasl_auth_enable") != "yes":
        lines.append("smtpd_sasl_auth_enable is not yes: the server offers no AUTH at all")
    lines += [f"{name} cannot be asked: {why}" for name, why in authenticator.reachability.why.items()]
    return lines


def _attempts(attempts: list[Attempt]) -> list[str]:
    if not attempts:
        return ["No back end was asked."]
    return [
        f"{number}. {attempt.source} was asked for {attempt.asked}: {attempt.answer}"
        + (f" ({attempt.why})" if attempt.why else "")
        for number, attempt in enumerate(attempts, start=1)
    ]


def advice(record: LoginRecord, settings: Settings, conf: smtpdconf.SmtpdConf) -> list[str]:
    """What to change, for what was said."""
    lines = []
    for attempt in record.attempts:
        kind = attempt.source.partition(":")[0]
        if attempt.answer == "try later":
            place = conf.origin("pwcheck_method") or conf.path or "main.cf"
            lines.append(f"Mend: make {attempt.source} answer (chosen at {place}).")
        elif attempt.why == "no such account":
            lines.append(f"Mend: tayori user add -c {settings.directory} {attempt.asked}")
        elif attempt.why == "wrong password" and kind == "accounts":
            lines.append(
                f"Mend: give the right password, or tayori user passwd -c {settings.directory} {attempt.asked}"
            )
        elif kind == "saslauthd" and "@" in attempt.asked:
            lines.append(
                "Mend: saslauthd was asked with a realm; with PAM or shadow, log in without @, or start it with -r."
            )
    if not record.attempts:
        lines.append("Mend: choose a mechanism that is offered; see mech_list and smtpd_sasl_security_options.")
    return list(dict.fromkeys(lines))
