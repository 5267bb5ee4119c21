"""tayori saslauthd: check passwords for Postfix, Cyrus IMAP, Sendmail or tayori, in place of Cyrus's saslauthd(8).

    tayori saslauthd -a pam|shadow|sasldb|ldap|rimap|httpform|kerberos5|accounts [-m DIR] [-n N] [-O OPTION]
                     [-c [-t SECONDS] [-s KILOBYTES]] [-r] [-d] [-V] [-l] [-T] [-v] [-h]

The socket is DIR/mux (default /run/saslauthd). -O: rimap host[/port]; ldap and httpform the configuration file
(/etc/saslauthd.conf); kerberos5 one with krb5_keytab, krb5_verify_principal, krb5_servername; sasldb, accounts and
shadow the file. -c remembers right passwords for -t seconds (28800). -d stays in the foreground and logs to the
terminal; without it the program goes to the background and logs to syslog (auth).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tayori import __version__
from tayori.config import smtpdconf
from tayori.config.origin import ConfigError, Origin
from tayori.config.smtpdconf import SmtpdConf
from tayori.programs.commands.control import default_directory
from tayori.programs.daemons import saslauthd as daemon
from tayori.programs.daemons.saslauthd_pam import PamWorkers
from tayori.sasl.accounts import FILE_NAME
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.base import Verifier
from tayori.sasl.verifiers.httpform import HttpForm
from tayori.sasl.verifiers.kerberos import Kerberos
from tayori.sasl.verifiers.ldap import LdapBind
from tayori.sasl.verifiers.rimap import Rimap
from tayori.sasl.verifiers.sasldb import Sasldb
from tayori.sasl.verifiers.shadow import Shadow

EX_USAGE, EX_CONFIG = 64, 78
DEFAULT_CONF = "/etc/saslauthd.conf"


def _conf(path: str) -> SmtpdConf:
    place = Path(path or DEFAULT_CONF)
    try:
        return smtpdconf.parse(place.read_text("utf-8"), str(place))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Origin(str(place)), "name it with -O") from error


def _rimap(option: str, count: int) -> Verifier:
    if not option:
        raise ConfigError("rimap needs the IMAP server", mend="-O imap.example.com/993")
    return Rimap.from_option(option)


def _accounts(option: str, count: int) -> Verifier:
    path = Path(option or default_directory())
    return Accounts(path / FILE_NAME if path.is_dir() else path, domains=(socket.getfqdn(),), threads=max(1, count))


# saslauthd's own cache is -c: the account file's is left off.
MECHANISMS: dict[str, Callable[[str, int], Verifier]] = {
    "pam": lambda option, count: PamWorkers(count, service=option),
    "shadow": lambda option, count: Shadow(option or "/etc/shadow"),
    "getpwent": lambda option, count: Shadow(option or "/etc/shadow"),
    "sasldb": lambda option, count: Sasldb(option or "/etc/sasldb2", hostname=socket.getfqdn()),
    "ldap": lambda option, count: LdapBind.from_conf(_conf(option)),
    "rimap": _rimap,
    "httpform": lambda option, count: HttpForm.from_conf(_conf(option)),
    "kerberos5": lambda option, count: Kerberos.from_conf(_conf(option) if option else SmtpdConf()),
    "accounts": _accounts,
}


def parser() -> argparse.ArgumentParser:
    """The command line, flags as in saslauthd(8)."""
    made = argparse.ArgumentParser("tayori saslauthd", description="check passwords for mail programs")
    made.add_argument("-a", dest="mechanism", choices=sorted(MECHANISMS), help="where passwords are checked")
    made.add_argument("-m", dest="directory", default="/run/saslauthd", help="folder of the socket, absolute")
    made.add_argument("-n", dest="count", type=int, default=5, help="PAM processes; 0: one for each question")
    made.add_argument("-O", dest="option", default="", help="option of the mechanism")
    made.add_argument("-H", dest="option", help=argparse.SUPPRESS)
    made.add_argument("-c", dest="cache", action="store_true", help="remember right passwords")
    made.add_argument("-t", dest="seconds", type=int, default=28800, help="how long, in seconds")
    made.add_argument("-s", dest="kilobytes", type=int, default=128, help="how many, in kilobytes")
    made.add_argument("-r", dest="realm", action="store_true", help="join login and realm with @")
    made.add_argument("-d", dest="debug", action="store_true", help="stay in the foreground, log to the terminal")
    made.add_argument("-V", dest="verbose", action="store_true", help="log successes too")
    made.add_argument("-l", dest="no_lock", action="store_true", help="accepted; nothing is locked here")
    made.add_argument("-T", dest="hours", action="store_true", help="accepted; PAM's account rules hold")
    made.add_argument("-v", dest="version", action="store_true", help="version and mechanisms")
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    if options.version:
        print(f"tayori saslauthd {__version__}\nauthentication mechanisms: {' '.join(MECHANISMS)}", file=sys.stderr)
        return 0
    if options.mechanism is None:
        print("tayori saslauthd: -a is missing: one of " + " ".join(MECHANISMS), file=sys.stderr)
        return EX_USAGE
    if not os.path.isabs(options.directory) or options.count < 0:
        print("tayori saslauthd: -m needs an absolute path, -n a number from 0", file=sys.stderr)
        return EX_USAGE
    chosen = daemon.Options(
        directory=options.directory.removesuffix("/mux"),
        combine_realm=options.realm,
        cache_seconds=options.seconds if options.cache else 0,
        cache_kilobytes=options.kilobytes,
        verbose=options.verbose or options.debug,
    )
    try:
        if options.debug:
            _log_to(logging.StreamHandler(), "saslauthd[%(process)d]: %(message)s")
            asyncio.run(_serve(options, chosen, lambda: None))
            return 0
        return _in_background(options, chosen)
    except ConfigError as error:
        print(f"tayori saslauthd: {error}", file=sys.stderr)
        return EX_CONFIG


async def _serve(options: argparse.Namespace, chosen: daemon.Options, ready: Callable[[], None]) -> None:
    await daemon.run(MECHANISMS[options.mechanism](options.option, options.count), chosen, ready)


def _log_to(handler: logging.Handler, form: str) -> None:
    handler.setFormatter(logging.Formatter(form))
    logger = logging.getLogger("saslauthd")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def _in_background(options: argparse.Namespace, chosen: daemon.Options) -> int:
    """Fork; the parent ends with 0 once the socket is there, or with the child's complaint."""
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        with os.fdopen(told, encoding="utf-8") as pipe:
            words = pipe.read()
        if words == "ready":
            return 0
        print(f"tayori saslauthd: {words or 'ended without a word'}", file=sys.stderr)
        return EX_CONFIG
    os.close(told)
    code = 0
    try:
        os.setsid()
        if os.path.exists("/dev/log"):
            facility = logging.handlers.SysLogHandler.LOG_AUTH
            handler = logging.handlers.SysLogHandler("/dev/log", facility)
            _log_to(handler, "saslauthd[%(process)d]: %(message)s")
        os.chdir("/")

        def ready() -> None:
            quiet = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(quiet, number)
            os.write(tell, b"ready")
            os.close(tell)

        asyncio.run(_serve(options, chosen, ready))
    except ConfigError as error:
        os.write(tell, str(error).encode())
        code = EX_CONFIG
    finally:
        os._exit(code)
