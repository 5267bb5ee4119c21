"""What `check` can only find by looking at the machine: the saslauthd socket, ports, certificates.

Nothing is changed and nothing is sent: a socket is connected to and closed, files are read.
"""

from __future__ import annotations

import itertools
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from tayori.config.lint import Finding, Message, Source
from tayori.config.lint.finding import Phrase
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.net.listen import how_to_stop, port_holder
from tayori.programs.commands.start import running
from tayori.programs.daemons.layout import mail_owner
from tayori.sasl.verifiers.saslauthd import USUAL_PATHS

SOON = timedelta(days=14)

NO_SASLAUTHD = Message(
    "warning",
    "saslauthd-unreachable",
    "saslauthd does not answer at {path}: {why}",
    "pwcheck_method is saslauthd, so nobody can log in until it does. Mail for local users is not touched by this.",
    "{mend}",
)
SASLAUTHD_CLOSED = Message(
    "warning",
    "saslauthd-closed",
    "the user {user}, as whom the server works, may not open {path}",
    "{folder} lets in {owner}, the group {group} and nobody else: every login fails.",
    "Let {user} in: usermod -aG {group} {user}, then restart the server.",
)
PORT_TAKEN = Message(
    "warning",
    "port-taken",
    "port {port} is taken by {holder}",
    "The server cannot start while another program listens there.",
    "{mend}",
)
PORT_ROOT = Message(
    "warning",
    "port-needs-root",
    "port {port} can only be opened by root",
    "Only root may listen on ports below {low}; you are {user}.",
    "Start it as root, or write a port above 1023 here.",
)
DOVECOT = Message(
    "warning",
    "dovecot-unreachable",
    "Dovecot's login service does not answer at {path}: {why}",
    "smtpd_sasl_type is dovecot, so nobody can log in until it does. Mail from others is not touched by this.",
    "Start Dovecot, or let a unix_listener of service auth in its configuration and smtpd_sasl_path name one place.",
)
CERT_UNREADABLE = Message(
    "error",
    "certificate-unreadable",
    "{name}: {path}: {why}",
    "Without key and certificate there is no encryption.",
    "{mend}",
)
CERT_MISMATCH = Message(
    "error",
    "certificate-mismatch",
    "{name}: the key in {key} does not belong to the certificate in {path}",
    "No client could open an encrypted connection.",
    "Name the key that was made for this certificate.",
)
CERT_OLD = Message(
    "warning",
    "certificate-expired",
    "{name}: the certificate in {path} {when}",
    "Mail programs refuse it or warn their users.",
    "Get a new one (certbot renew) and reload.",
)
CERT_CHAIN = Message(
    "warning",
    "certificate-chain",
    "{name}: the certificate in {path} was issued by {issuer}, and {what}",
    "Mail programs cannot follow it to an authority that they know, and refuse it or warn their users.",
    "Use the file with the whole chain (certbot: fullchain.pem), the server's own certificate first.",
)
CERT_NAME = Message(
    "note",
    "certificate-name",
    "{name}: the certificate in {path} is for {names}, not for {hostname}",
    "Mail programs that are told to connect to {hostname} warn their users.",
    "Use a certificate for {hostname}, or let people connect to a name that it holds.",
)


def check(source: Source) -> Iterator[Finding]:
    """All of it."""
    yield from saslauthd(source)
    yield from dovecot(source)
    yield from ports(source)
    yield from certificates(source)


def _main(source: Source, name: str) -> Origin:
    return source.settings.origin(name) or Origin(str(Path(source.settings.directory) / "main.cf"))


def services(source: Source) -> Iterator[tuple[Service, Settings]]:
    """Every smtpd port with the settings that hold there."""
    for service in source.services:
        if service.kind == "inet" and service.command == "smtpd":
            yield service, service.settings(source.settings)


# --- saslauthd ---------------------------------------------------------------------------------------------------


def saslauthd(source: Source) -> Iterator[Finding]:
    """Whether the socket answers, and whether the server's user gets there."""
    conf = source.smtpd_conf
    if not any(settings.flag("smtpd_sasl_auth_enable") for _, settings in services(source)):
        return
    if "saslauthd" not in conf.words("pwcheck_method"):
        return
    given = conf.get("saslauthd_path")
    path = given if given else next((p for p in USUAL_PATHS if os.path.exists(p)), USUAL_PATHS[0])
    if os.path.isdir(path):
        path = os.path.join(path, "mux")
    origin = conf.origin("saslauthd_path") or conf.origin("pwcheck_method") or Origin(conf.path)
    why = _answers(path)
    if why:
        elsewhere = next((p for p in USUAL_PATHS if p != path and not _answers(p)), "")
        mend = Phrase("Start it: systemctl start saslauthd (Debian: package sasl2-bin), or tayori saslauthd -a pam.")
        if elsewhere:
            mend = Phrase("One answers at {path}: write saslauthd_path: {path}", path=elsewhere)
        yield NO_SASLAUTHD.at(origin, path=path, why=why, mend=mend)
        return
    yield from _way_there(source, path, origin)


def dovecot(source: Source) -> Iterator[Finding]:
    """Whether Dovecot's auth socket answers; one that listens on TCP is left to the first login."""
    seen: set[str] = set()
    for _, settings in services(source):
        if not settings.flag("smtpd_sasl_auth_enable") or settings.text("smtpd_sasl_type") != "dovecot":
            continue
        path = settings.text("smtpd_sasl_path").removeprefix("unix:")
        if path.startswith("inet:") or path in seen:
            continue
        seen.add(path)
        full = path if path.startswith("/") else os.path.join(settings.text("queue_directory"), path)
        why = _answers(full)
        if why:
            origin = settings.origin("smtpd_sasl_path") or settings.origin("smtpd_sasl_type")
            yield DOVECOT.at(origin or _main(source, "smtpd_sasl_path"), path=full, why=why)


def _answers(path: str) -> str:
    """Empty when somebody listens, else why not."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probing:
            probing.settimeout(3)
            probing.connect(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _way_there(source: Source, path: str, origin: Origin) -> Iterator[Finding]:
    """As root: every folder up to the socket must let mail_owner through."""
    try:
        owner = mail_owner(source.settings)
    except ConfigError:
        return
    if owner is None:
        return
    groups = set(os.getgrouplist(owner.name, owner.gid))
    for place in [*reversed(Path(path).parents), Path(path)]:
        state = place.stat()
        wanted = stat.S_IWOTH if place == Path(path) else stat.S_IXOTH
        mine = 6 if state.st_uid == owner.uid else 3 if state.st_gid in groups else 0
        if not state.st_mode & (wanted << mine):
            yield SASLAUTHD_CLOSED.at(
                origin,
                user=owner.name,
                path=path,
                folder=place,
                owner=_user(state.st_uid),
                group=_group(state.st_gid),
            )
            return


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# --- ports -------------------------------------------------------------------------------------------------------


def ports(source: Source) -> Iterator[Finding]:
    """Who holds them, unless it is this very server."""
    if running(source.settings):
        return
    low = _lowest_free()
    for service, _ in services(source):
        try:
            _, port = service.host_port()
        except ConfigError:
            continue  # said by lint
        holder = port_holder(port)
        if holder is not None:
            pid, name = holder
            mend = Phrase("Stop it with: {command}.", command=how_to_stop(name, pid).removeprefix("stop it with: "))
            holder_name = Phrase("{name} (process {pid})", name=name, pid=pid)
            yield PORT_TAKEN.at(service.origin, port=port, holder=holder_name, mend=mend)
        elif port < low and not source.settings.system.root:
            user = source.settings.system.user
            yield PORT_ROOT.at(service.origin, port=port, low=low, user=user)


def _lowest_free() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024


# --- certificates ------------------------------------------------------------------------------------------------


def certificates(source: Source) -> Iterator[Finding]:
    """Each certificate that some port uses, once."""
    seen: set[tuple[str, ...]] = set()
    for _, settings in services(source):
        if not settings.flag("smtpd_tls_wrappermode") and settings.text("smtpd_tls_security_level") in ("", "none"):
            continue
        chain = settings.items("smtpd_tls_chain_files")
        name = "smtpd_tls_chain_files" if chain else "smtpd_tls_cert_file"
        files = chain or tuple(f for f in (settings.text("smtpd_tls_key_file"), settings.text(name)) if f)
        if files and files != ("none",) and files not in seen:
            seen.add(files)
            yield from _certificate(source, settings.text("myhostname"), name, files)


def _certificate(source: Source, hostname: str, name: str, files: tuple[str, ...]) -> Iterator[Finding]:
    origin = _main(source, name)
    key: object = None
    key_file, found, found_in = "", None, ""
    chain: list[x509.Certificate] = []
    for path in dict.fromkeys(files):
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            mend = Phrase("Name the file where it is.") if missing else Phrase("Run check as root.")
            yield CERT_UNREADABLE.at(origin, name=name, path=path, why=error.strerror or error, mend=mend)
            return
        try:
            if key is None and b"PRIVATE KEY-----" in data:
                key, key_file = serialization.load_pem_private_key(_key_part(data), None), path
            if b"BEGIN CERTIFICATE" in data:
                chain += x509.load_pem_x509_certificates(data)
                if found is None:
                    found, found_in = chain[0], path
        except (ValueError, TypeError) as error:
            mend = Phrase("Write key and certificate in PEM form; the key without a password.")
            why = Phrase("cannot be read ({error})", error=error)
            yield CERT_UNREADABLE.at(origin, name=name, path=path, why=why, mend=mend)
            return
    if key is None or found is None:
        why = Phrase("no private key in it") if key is None else Phrase("no certificate in it")
        mend = Phrase("Name the file of the key first, then that of the certificate.")
        yield CERT_UNREADABLE.at(origin, name=name, path=", ".join(files), why=why, mend=mend)
        return
    if _public(key.public_key()) != _public(found.public_key()):  # type: ignore[attr-defined]
        yield CERT_MISMATCH.at(origin, name=name, key=key_file, path=found_in)
    yield from _chain(origin, name, found_in, chain)
    yield from _dates(origin, name, found_in, found)
    names = certificate_names(found)
    if names and not any(_covers(pattern, hostname) for pattern in names):
        yield CERT_NAME.at(origin, name=name, path=found_in, names=", ".join(names[:4]), hostname=hostname)


def _key_part(data: bytes) -> bytes:
    start = data.index(b"-----BEGIN ", max(0, data.index(b"PRIVATE KEY-----") - 30))
    return data[start:]


def _public(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, form))  # type: ignore[attr-defined]


def _chain(origin: Origin, name: str, path: str, chain: list[x509.Certificate]) -> Iterator[Finding]:
    """Whether each certificate is issued by the next. One that is alone and not issued by itself lacks its chain."""
    leaf = chain[0]
    issuer = leaf.issuer.rfc4514_string()
    if len(chain) == 1 and leaf.issuer != leaf.subject:
        yield CERT_CHAIN.at(origin, name=name, path=path, issuer=issuer, what=Phrase("that one is not in the file"))
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            issuer = lower.issuer.rfc4514_string()
            what = Phrase("what follows it in the file is {other}", other=upper.subject.rfc4514_string())
            yield CERT_CHAIN.at(origin, name=name, path=path, issuer=issuer, what=what)
            return


def _dates(origin: Origin, name: str, path: str, found: x509.Certificate) -> Iterator[Finding]:
    now = datetime.now(UTC)
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    when = None
    if ends < now:
        when = Phrase("expired on {day}", day=f"{ends:%Y-%m-%d}")
    elif ends < now + SOON:
        when = Phrase("expires on {day}", day=f"{ends:%Y-%m-%d}")
    elif begins > now:
        when = Phrase("is valid from {day} only", day=f"{begins:%Y-%m-%d}")
    if when is not None:
        yield CERT_OLD.at(origin, name=name, path=path, when=when)


def certificate_names(found: x509.Certificate) -> tuple[str, ...]:
    """The DNS names; the common name where there are none."""
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    if names:
        return names
    return tuple(str(a.value) for a in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def _covers(pattern: str, hostname: str) -> bool:
    pattern, hostname = pattern.lower(), hostname.lower()
    return pattern == hostname or (pattern.startswith("*.") and hostname.partition(".")[2] == pattern[2:])
