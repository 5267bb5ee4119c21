"""TLS contexts and engines over memory BIOs, by pyOpenSSL.

Why not the standard ssl module: it gives no certificate that did not verify, no chain and no
tls-exporter, which EXTERNAL with self-signed certificates, SCRAM-…-PLUS and DANE need.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.protocol.idn import to_ascii

VERSIONS = {
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
ORDER = tuple(VERSIONS)
# OpenSSL's own groups; anonymous suites are left out, unlike Postfix, since no client needs them today
CIPHERS = {
    "high": "HIGH:!aNULL:!eNULL:@STRENGTH",
    "medium": "HIGH:MEDIUM:!aNULL:!eNULL:@STRENGTH",
    "low": "HIGH:MEDIUM:!aNULL:!eNULL:@STRENGTH",
    "export": "HIGH:MEDIUM:!aNULL:!eNULL:@STRENGTH",
    "null": "eNULL:!aNULL",
}


class TlsError(Exception):
    """A handshake or record failed; the text is for the log."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a finished handshake tells. Fingerprints come from `fingerprint`; bindings from `bindings`.

    `verified` is True only when the peer showed a certificate and its whole chain was trusted.
    """

    protocol: str
    cipher: str
    bits: int
    verified: bool
    verify_error: str
    peer_certificate: x509.Certificate | None
    chain: tuple[x509.Certificate, ...]
    bindings: dict[str, bytes] = field(repr=False)
    server_name: str = ""

    def subject_cn(self) -> str:
        """Common name of the peer's certificate, "" without one."""
        return _common_name(self.peer_certificate.subject) if self.peer_certificate else ""

    def issuer_cn(self) -> str:
        """Common name of its issuer."""
        return _common_name(self.peer_certificate.issuer) if self.peer_certificate else ""

    def cert_fingerprint(self, digest: str) -> str:
        """ "AB:CD:…" over the DER certificate, "" without one."""
        if self.peer_certificate is None:
            return ""
        return _fingerprint(self.peer_certificate.public_bytes(serialization.Encoding.DER), digest)

    def pubkey_fingerprint(self, digest: str) -> str:
        """ "AB:CD:…" over the DER public key, "" without one."""
        if self.peer_certificate is None:
            return ""
        return _fingerprint(
            self.peer_certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            digest,
        )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _fingerprint(data: bytes, digest: str) -> str:
    return hashlib.new(digest, data, usedforsecurity=False).digest().hex(":").upper()


def end_point_binding(certificate: x509.Certificate) -> bytes:
    """tls-server-end-point (RFC 5929 4.1): the certificate's own hash, SHA-256 for MD5 and SHA-1."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


def _unique(connection: SSL.Connection, server_side: bool) -> bytes | None:
    """tls-unique (RFC 5929 3.1), the first Finished message, which is what most clients bind to before TLS 1.3.

    None without the extended master secret (RFC 7627), which alone keeps it from being the same in two sessions.
    """
    library, ssl = SSL._lib, connection._ssl  # type: ignore[attr-defined]  # pyOpenSSL has no names of its own for these
    if library.SSL_get_extms_support(ssl) != 1:
        return None
    ours_was_first = bool(library.SSL_session_reused(ssl)) is server_side
    return connection.get_finished() if ours_was_first else connection.get_peer_finished()


class TlsEngine:
    """One TLS connection without a socket: bytes in, bytes out."""

    def __init__(self, connection: SSL.Connection, own: x509.Certificate | None, server_side: bool) -> None:
        self._connection = connection
        self._own = own
        self._server_side = server_side
        self.errors: list[str] = []

    def feed(self, data: bytes) -> None:
        """Ciphertext from the socket."""
        self._connection.bio_write(data)

    def outgoing(self) -> bytes:
        """Ciphertext for the socket."""
        parts: list[bytes] = []
        while True:
            try:
                parts.append(self._connection.bio_read(65536))
            except SSL.WantReadError:
                return b"".join(parts)
            except SSL.Error:
                return b"".join(parts)

    def handshake(self) -> bool:
        """One step; True when done. Raises TlsError."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsError(_text(error)) from error
        return True

    def receive(self) -> bytes | None:
        """Clear text; None when more ciphertext is needed; b"" when the peer has closed. Raises TlsError."""
        try:
            return self._connection.recv(65536)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise TlsError(_text(error)) from error

    def send(self, data: bytes) -> None:
        """Encrypt; the memory BIO takes everything. Raises TlsError."""
        try:
            view = memoryview(data)
            while view:
                sent = self._connection.send(bytes(view[:16384]))
                view = view[sent:]
        except SSL.Error as error:
            raise TlsError(_text(error)) from error

    def close(self) -> None:
        """Say close_notify."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return

    def session(self) -> TlsSession:
        """Facts of the handshake that has just ended."""
        connection = self._connection
        peer = connection.get_peer_certificate(as_cryptography=True)
        chain = connection.get_peer_cert_chain(as_cryptography=True) or []
        protocol = connection.get_protocol_version_name()
        bindings: dict[str, bytes] = {}
        server_certificate = self._own if self._server_side else peer
        if server_certificate is not None:
            bindings["tls-server-end-point"] = end_point_binding(server_certificate)
        if protocol == "TLSv1.3":
            # RFC 9266: safe without further conditions only for TLS 1.3
            bindings["tls-exporter"] = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        elif (unique := _unique(connection, self._server_side)) is not None:
            bindings["tls-unique"] = unique
        name = connection.get_servername()
        return TlsSession(
            protocol=protocol,
            cipher=connection.get_cipher_name() or "",
            bits=connection.get_cipher_bits() or 0,
            verified=peer is not None and not self.errors,
            verify_error="; ".join(dict.fromkeys(self.errors)),
            peer_certificate=peer,
            chain=tuple(chain),
            bindings=bindings,
            server_name=name.decode("ascii", "replace") if name else "",
        )


def _text(error: SSL.Error) -> str:
    details = error.args[0] if error.args else ""
    if isinstance(details, list) and details:
        return "; ".join(str(entry[2]) for entry in details if len(entry) > 2)
    return str(details) or "the peer broke the connection"


class TlsContext:
    """A reusable context; `engine()` makes one connection of it."""

    def __init__(self, context: SSL.Context, own: x509.Certificate | None = None) -> None:
        self._context = context
        self.own = own
        self._errors: dict[int, list[str]] = {}

    def engine(self, server_side: bool, server_hostname: str = "") -> TlsEngine:
        """A fresh engine in server or client role; `server_hostname` is sent as SNI."""
        connection = SSL.Connection(self._context, None)
        engine = TlsEngine(connection, self.own, server_side)
        connection.set_app_data(engine)
        if server_side:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
            if server_hostname and not re.fullmatch(r"[\d.:\[\]a-fA-F]*:[\d.:\[\]a-fA-F]*|[\d.]+", server_hostname):
                connection.set_tlsext_host_name((to_ascii(server_hostname) or server_hostname).encode())
        return engine


def _record_errors(connection: SSL.Connection, cert: object, number: int, depth: int, ok: int) -> bool:
    """Let every handshake through and keep what was wrong: the policy decides, not the library."""
    if not ok:
        engine = connection.get_app_data()
        if isinstance(engine, TlsEngine):
            engine.errors.append(f"error {number} at depth {depth}")
    return True


def _bounds(settings: Settings, name: str) -> tuple[int, int]:
    """Lowest and highest version of `smtpd_tls_protocols`: `>=TLSv1.2`, `<=…`, or `!SSLv2, !TLSv1`."""
    allowed = list(ORDER)
    named: list[str] = []
    for item in settings.text(name).replace(",", " ").replace(":", " ").split():
        match = re.fullmatch(r"(>=|<=|!)?(\w[\w.]*)", item)
        if match is None:
            raise ConfigError(
                f"{name}: {item!r} is no protocol", settings.origin(name), "write for example >=TLSv1.2"
            )
        operator, version = match.groups()
        if version in ("SSLv2", "SSLv3"):
            continue
        if version not in VERSIONS:
            raise ConfigError(
                f"{name}: {version!r} is not known", settings.origin(name), f"known: {', '.join(ORDER)}"
            )
        if operator == ">=":
            allowed = [v for v in allowed if ORDER.index(v) >= ORDER.index(version)]
        elif operator == "<=":
            allowed = [v for v in allowed if ORDER.index(v) <= ORDER.index(version)]
        elif operator == "!":
            allowed = [v for v in allowed if v != version]
        else:
            named.append(version)
    if named:
        allowed = [v for v in allowed if v in named]
    if not allowed:
        raise ConfigError(f"{name} leaves no protocol", settings.origin(name), "write >=TLSv1.2")
    return VERSIONS[allowed[0]], VERSIONS[allowed[-1]]


def _pem(settings: Settings, name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{name}: {path} cannot be read: {error.strerror}", settings.origin(name), "check the path and its mode"
        ) from error


def _load_chain(context: SSL.Context, settings: Settings, prefix: str) -> x509.Certificate | None:
    """Certificate and key from *_tls_chain_files, or *_tls_cert_file and *_tls_key_file; None when unset."""
    name, blobs = f"{prefix}_tls_chain_files", b""
    for path in settings.items(name):
        blobs += _pem(settings, name, path)
    if not blobs:
        name = f"{prefix}_tls_cert_file"
        cert = settings.text(name)
        if cert in ("", "none"):
            return None
        blobs = _pem(settings, name, cert)
        key = settings.text(f"{prefix}_tls_key_file")
        if key and key != cert:
            blobs += b"\n" + _pem(settings, f"{prefix}_tls_key_file", key)
    try:
        certificates = x509.load_pem_x509_certificates(blobs)
        key_block = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", blobs, re.S)
        if key_block is None:
            raise ValueError("no private key in it")
        private = serialization.load_pem_private_key(key_block.group(), None)
        context.use_certificate(certificates[0])
        for extra in certificates[1:]:
            context.add_extra_chain_cert(extra)
        context.use_privatekey(private)  # type: ignore[arg-type]
        context.check_privatekey()
    except (ValueError, TypeError, SSL.Error) as error:
        raise ConfigError(
            f"{name}: the certificate and key do not fit: {error}",
            settings.origin(name),
            "give a PEM certificate with its own unencrypted key",
        ) from error
    return certificates[0]


def server_context(settings: Settings) -> TlsContext | None:
    """The SMTP server's context by smtpd_tls_*; None when no certificate is set. Raises ConfigError."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    own = _load_chain(context, settings, "smtpd")
    if own is None:
        return None
    mandatory = settings.text("smtpd_tls_security_level") == "encrypt"
    low, high = _bounds(settings, "smtpd_tls_mandatory_protocols" if mandatory else "smtpd_tls_protocols")
    context.set_min_proto_version(low)
    context.set_max_proto_version(high)
    grade = settings.text("smtpd_tls_mandatory_ciphers" if mandatory else "smtpd_tls_ciphers")
    context.set_cipher_list(CIPHERS.get(grade, CIPHERS["medium"]).encode())
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_id(b"tayori")
    ask = settings.flag("smtpd_tls_ask_ccert") or settings.flag("smtpd_tls_req_ccert")
    if ask:
        _trust(context, settings, "smtpd")
        context.set_verify(SSL.VERIFY_PEER, _record_errors)
    return TlsContext(context, own)


def _trust(context: SSL.Context, settings: Settings, prefix: str) -> None:
    ca_file, ca_path = settings.text(f"{prefix}_tls_CAfile"), settings.text(f"{prefix}_tls_CApath")
    if ca_file or ca_path:
        try:
            context.load_verify_locations(ca_file or None, ca_path or None)
        except SSL.Error as error:
            raise ConfigError(
                f"{prefix}_tls_CAfile: cannot be used: {_text(error)}",
                settings.origin(f"{prefix}_tls_CAfile"),
                "give a PEM file of CA certificates",
            ) from error
    if settings.flag("tls_append_default_CA") or not (ca_file or ca_path):
        context.set_default_verify_paths()


def client_context(settings: Settings, *, mandatory: bool = False, prefix: str = "smtp") -> TlsContext:
    """The client's context by smtp_tls_* or lmtp_tls_* (`prefix`): verification is recorded, never enforced here.
    Raises ConfigError."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    low, high = _bounds(settings, f"{prefix}_tls_mandatory_protocols" if mandatory else f"{prefix}_tls_protocols")
    context.set_min_proto_version(low)
    context.set_max_proto_version(high)
    grade = settings.text(f"{prefix}_tls_mandatory_ciphers" if mandatory else f"{prefix}_tls_ciphers")
    context.set_cipher_list(CIPHERS.get(grade, CIPHERS["medium"]).encode())
    context.set_options(SSL.OP_NO_COMPRESSION)
    own = _load_chain(context, settings, prefix)
    _trust(context, settings, prefix)
    context.set_verify(SSL.VERIFY_PEER, _record_errors)
    return TlsContext(context, own)
