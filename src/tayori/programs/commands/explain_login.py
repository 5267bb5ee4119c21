"""tayori explain-login: why a log-in works or does not.

    tayori explain-login USER [-c DIR] [--stdin | --last] [-m MECHANISM]

With a password (asked for at a terminal, or the first line of standard input with --stdin) every back end is asked
now, in the order of a real log-in. --last tells of the newest failed log-in of that name that the server saw.
Exit codes: 0 would be let in, 1 not, 75 could not be asked, 64 usage, 78 configuration.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import time

from tayori.config import smtpdconf
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.arguments import Arguments, hush
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.daemons.layout import Layout
from tayori.programs.language import ENGLISH, N_, Language, choose
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.record import FILE_NAME, Attempt, FailedLogins, LoginRecord
from tayori.sasl.steps import Challenge, Failure, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater

EX_NO, EX_USAGE, EX_TEMPFAIL, EX_CONFIG = 1, 64, 75, 78


def parser() -> Arguments:
    """The command line."""
    made = Arguments("tayori explain-login", description=N_("Why a log-in works or does not."))
    made.add_argument("user", metavar="USER", help=N_("the name to log in with"))
    made.add_argument(
        "-c", dest="directory", default=default_directory(), metavar="DIR", help=N_("the folder of main.cf")
    )
    made.add_argument(
        "-m", dest="mechanism", default="PLAIN", choices=["PLAIN", "LOGIN"], help=N_("the mechanism (%(default)s)")
    )
    how = made.add_mutually_exclusive_group()
    how.add_argument("--stdin", action="store_true", help=N_("the password is the first line of standard input"))
    how.add_argument("--last", action="store_true", help=N_("tell of the last failed log-in instead"))
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().read(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    say = choose(options.lang)
    hush()
    try:
        settings = Settings.read(options.directory)
        conf = smtpdconf.find(settings)
        if options.last:
            return _tell_last(settings, conf, options.user, say)
        if options.stdin or not sys.stdin.isatty():
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = getpass.getpass(say("Password of {user}: ", user=options.user))
        return asyncio.run(_try(settings, conf, options.user, password, options.mechanism, say))
    except ConfigError as error:
        said = no_configuration(options.directory, say) or say.error(error)
        print(f"tayori explain-login: {said}", file=sys.stderr)
        return EX_CONFIG
    except (KeyboardInterrupt, EOFError):
        print(f"tayori explain-login: {say('stopped; nothing was asked')}", file=sys.stderr)
        return EX_USAGE


def _tell_last(settings: Settings, conf: smtpdconf.SmtpdConf, user: str, say: Language) -> int:
    path = Layout.of(settings).queue / FILE_NAME
    record = FailedLogins(path).last(user)
    if record is None:
        print(say("No failed log-in of {user} is noted in {path}.", user=user, path=path))
        return 0
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.when))
    print(say("{when}: {user} from {address} by {mechanism}", when=when, user=record.username,
              address=record.address, mechanism=record.mechanism))  # fmt: skip
    print("\n".join(_attempts(record.attempts, say)))
    result = say("try later") if record.temporary else say("refused")
    print(say("Result: {result}: {why}", result=result, why=say.told(record.reason)))
    print("\n".join(advice(record, settings, conf, say)))
    return EX_NO


async def _try(
    settings: Settings, conf: smtpdconf.SmtpdConf, user: str, password: str, mechanism: str, say: Language
) -> int:
    silent = FailedLogins(os.devnull)  # what is tried here is no failed log-in of the server's
    authenticator = Authenticator(settings, conf, failed_logins=silent, on_login=lambda record: None)
    try:
        print(f"smtpd.conf: {conf.path or say('none was found')}")
        await authenticator.start()
        for line in _offers(authenticator, say):
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
    print(say("Mechanism: {mechanism}", mechanism=mechanism))
    print("\n".join(_attempts(record.attempts, say)))
    if isinstance(result, Success):
        print(say("Result: let in, as {user}", user=result.username))
        return 0
    word = say("try later (454)") if result.temporary else say("refused (535)")
    print(say("Result: {result}: {why}", result=word, why=say.told(result.why)))
    record.temporary, record.reason = result.temporary, result.why
    print("\n".join(advice(record, settings, conf, say)))
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


def _offers(authenticator: Authenticator, say: Language) -> list[str]:
    lines = []
    for tls, words in ((False, N_("Offered without TLS: {names}")), (True, N_("Offered with TLS: {names}"))):
        lines.append(say(words, names=" ".join(authenticator.offered(tls)) or say("none")))
    groups: dict[tuple[str, str], list[str]] = {}
    for name, setting, why in authenticator.removed():
        groups.setdefault((setting, why), []).append(name)
    for (setting, why), names in groups.items():
        lines.append(say("Not offered, by {setting}: {names} ({why})", setting=setting, names=", ".join(names),
                         why=_state(why, say)))  # fmt: skip
    if authenticator.settings.text("smtpd_tls_auth_only") == "yes":
        lines.append(say("(smtpd_tls_auth_only = yes: nothing is offered before TLS)"))
    if authenticator.settings.text("smtpd_sasl_auth_enable") != "yes":
        lines.append(say("smtpd_sasl_auth_enable is not yes: the server offers no AUTH at all"))
    for name, why in authenticator.reachability.why.items():
        lines.append(say("{name} cannot be asked: {why}", name=name, why=say.told(why)))
    return lines


STATES = (N_("{why} (with TLS)"), N_("{why} (without TLS)"))
"""Behind the reason why a mechanism is not offered."""
ANSWERS = (N_("accepted"), N_("secret given"), N_("refused"), N_("try later"))
"""What a back end says (Attempt.answer)."""


def _state(why: str, say: Language) -> str:
    for state in STATES:
        tail = state.removeprefix("{why}")
        if why.endswith(tail):
            return say(state, why=say.told(why.removesuffix(tail)))
    return say.told(why)


def _attempts(attempts: list[Attempt], say: Language) -> list[str]:
    if not attempts:
        return [say("No back end was asked.")]
    return [
        f"{number}. "
        + say("{source} was asked for {asked}: {answer}", source=attempt.source, asked=attempt.asked,
              answer=say(attempt.answer))
        + (f" ({say.told(attempt.why)})" if attempt.why else "")
        for number, attempt in enumerate(attempts, start=1)
    ]  # fmt: skip


def advice(record: LoginRecord, settings: Settings, conf: smtpdconf.SmtpdConf, say: Language = ENGLISH) -> list[str]:
    """What to change, for what was said."""
    lines = []
    for attempt in record.attempts:
        kind = attempt.source.partition(":")[0]
        if attempt.answer == "try later":
            place = conf.origin("pwcheck_method") or conf.path or "main.cf"
            lines.append(say("Mend: make {source} answer (chosen at {place}).", source=attempt.source, place=place))
        elif attempt.why == "no such account":
            command = f"tayori user add -c {settings.directory} {attempt.asked}"
            lines.append(say("Mend: {command}", command=command))
        elif attempt.why == "wrong password" and kind == "accounts":
            command = f"tayori user passwd -c {settings.directory} {attempt.asked}"
            lines.append(say("Mend: give the right password, or {command}", command=command))
        elif kind == "saslauthd" and "@" in attempt.asked:
            lines.append(say("Mend: saslauthd was asked with a realm; with PAM or shadow, log in without @, or start "
                             "it with -r."))  # fmt: skip
    if not record.attempts:
        lines.append(say("Mend: choose a mechanism that is offered; see mech_list and smtpd_sasl_security_options."))
    return list(dict.fromkeys(lines))
