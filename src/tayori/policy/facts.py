"""What is known about a session when a restriction is asked: values, built by the session, never changed."""

from __future__ import annotations

from enum import Enum

import msgspec

from tayori.policy.verdict import Pending


class Stage(Enum):
    """The protocol stage at which a list is evaluated; the value is Postfix's protocol_state.

    HELO is EHLO, PLAIN_HELO the old command: the lists are the same, logs and policy services tell them apart.
    """

    CONNECT = "CONNECT"
    HELO = "EHLO"
    PLAIN_HELO = "HELO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END_OF_DATA = "END-OF-MESSAGE"
    VRFY = "VRFY"
    ETRN = "ETRN"


class ClientFacts(msgspec.Struct, frozen=True):
    """`name` is "unknown" unless address -> name -> address agree; `reverse_name` is the PTR name or "unknown".

    `name_code`/`reverse_code` are 2 (OK), 4 (temporary) or 5 (permanent), as in XCLIENT and Postfix's logs.
    """

    address: str
    port: int = 0
    name: str = "unknown"
    reverse_name: str = "unknown"
    name_code: int = 5
    reverse_code: int = 5
    server_address: str = ""
    server_port: int = 0


class TlsFacts(msgspec.Struct, frozen=True):
    """`verified`: the peer's certificate has a trusted chain. Fingerprints as "AB:CD:…" of `fingerprint_digest`."""

    protocol: str
    cipher: str
    bits: int = 0
    verified: bool = False
    subject_cn: str = ""
    issuer_cn: str = ""
    cert_fingerprint: str = ""
    pubkey_fingerprint: str = ""


class LoginFacts(msgspec.Struct, frozen=True):
    """A login that holds for the session. `sender` is the AUTH= of MAIL FROM."""

    username: str
    method: str
    sender: str = ""


class Facts(msgspec.Struct, frozen=True):
    """Everything that restrictions may look at. `sender` and `recipient` are bare addresses, "" for <>.

    None means "not said yet". `recipient_count` counts accepted recipients. `unauth_pipelining` is set when
    bytes arrived that the protocol did not allow yet. `pending` is Verdict.pending of the stage before.
    """

    client: ClientFacts
    stage: Stage = Stage.CONNECT
    protocol: str = "ESMTP"
    helo: str | None = None
    tls: TlsFacts | None = None
    login: LoginFacts | None = None
    sender: str | None = None
    recipient: str | None = None
    recipient_count: int = 0
    size: int = 0
    queue_id: str = ""
    instance: str = ""
    smtputf8: bool = False
    unauth_pipelining: bool = False
    etrn: str | None = None
    pending: Pending | None = None

    def at(self, stage: Stage, **changes: object) -> Facts:
        """The same facts at another stage."""
        return msgspec.structs.replace(self, stage=stage, **changes)
