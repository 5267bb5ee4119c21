"""tayori saslpasswd2: write accounts to Cyrus's sasldb2 (auxprop_plugin: sasldb).

    tayori saslpasswd2 [-c [-p] [-n] [--gdbm]] [-d] [-f FILE] [-u REALM] [-a APP] [-v] USER

Flags as in saslpasswd2(8). A new file is Berkeley DB, as Debian's Cyrus has it; with --gdbm it is GDBM, as newer Red
Hat's has it. -n stores SCRAM keys alone, no plain password. The realm is -u, else what follows "@" in USER, else this
machine's name. (tayori's own account file is written by `tayori user`.)
"""

from __future__ import annotations

import argparse
import socket
import sys

from tayori import __version__
from tayori.config.origin import ConfigError
from tayori.programs.commands.user import ask_password
from tayori.sasl import hashes, sasldb

EX_USAGE, EX_NOUSER, EX_DATAERR = 64, 67, 65
DEFAULT = "/etc/sasldb2"
HASHES = ("SHA-256", "SHA-1")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("tayori saslpasswd2", description="accounts in sasldb2")
    kind = made.add_mutually_exclusive_group()
    kind.add_argument("-c", dest="create", action="store_true", help="create the account")
    kind.add_argument("-d", dest="delete", action="store_true", help="delete the account")
    made.add_argument("-p", dest="pipe", action="store_true", help="the password is read from standard input")
    made.add_argument("-n", dest="no_plain", action="store_true", help="store no plain password, only SCRAM keys")
    made.add_argument("-f", dest="file", default=DEFAULT)
    made.add_argument("-u", dest="realm")
    made.add_argument("-a", dest="app", help="accepted; it changes nothing in the file")
    made.add_argument("--gdbm", action="store_true", help="a new file is GDBM, as newer Red Hat's Cyrus reads it")
    made.add_argument("-v", dest="version", action="store_true")
    made.add_argument("user", nargs="?")
    return made


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:
        return EX_USAGE if stop.code else 0
    if options.version:
        print(f"tayori {__version__}")
        return 0
    if not options.user:
        parser().print_usage(sys.stderr)
        return EX_USAGE
    user, at, realm = options.user.partition("@")
    realm = options.realm or (realm if at else "") or socket.gethostname()
    try:
        return _change(options, user, realm)
    except (sasldb.SasldbError, ConfigError) as error:
        print(f"saslpasswd2: {error}", file=sys.stderr)
        return EX_DATAERR
    except OSError as error:
        print(f"saslpasswd2: {options.file}: {error.strerror}", file=sys.stderr)
        return EX_DATAERR


def _change(options: argparse.Namespace, user: str, realm: str) -> int:
    known = bool(sasldb.kind(options.file)) and realm in sasldb.realms_of(options.file, user)
    if not known and not options.create:
        print(f"saslpasswd2: {user}@{realm} does not exist (-c creates it)", file=sys.stderr)
        return EX_NOUSER
    if options.delete:
        sasldb.delete(options.file, user, realm)
        return 0
    password = ask_password(f"{user}@{realm}", options.pipe)
    if known:
        sasldb.delete(options.file, user, realm)  # an old key must not outlive its password
    if options.no_plain:
        values = {f"cmusaslsecretSCRAM-{hash_}": hashes.make_scram(password, hash_).encode() for hash_ in HASHES}
    else:
        values = {sasldb.PASSWORD: hashes.prepare(password)}
    sasldb.store(options.file, user, realm, values, "gdbm" if options.gdbm else "berkeley")
    return 0
