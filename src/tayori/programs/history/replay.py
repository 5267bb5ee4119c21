"""A Record turned back into what the session knew, to be judged again: for `why` and `rehearse`."""

from __future__ import annotations

from tayori.policy.facts import ClientFacts, Facts, LoginFacts, Stage, TlsFacts
from tayori.programs.explain.causes import Situation
from tayori.programs.explain.values import Question
from tayori.programs.history.record import Decision, Record


def facts(record: Record, decision: Decision) -> Facts:
    """The facts of one decision."""
    protocol, _, cipher = record.tls.partition(" ")
    return Facts(
        client=ClientFacts(
            record.client, record.client_port, record.client_name, record.reverse_name, record.name_code,
            record.reverse_code, record.server, record.server_port,
        ),
        stage=next((stage for stage in Stage if stage.value == decision.stage), Stage.RCPT),
        protocol=record.protocol,
        helo=record.helo,
        tls=TlsFacts(protocol, cipher) if record.tls else None,
        login=LoginFacts(record.login, record.method) if record.login else None,
        sender=record.sender,
        recipient=decision.about if decision.stage == "RCPT" else None,
        size=record.size,
        queue_id=record.queue_id,
    )  # fmt: skip


def situation(record: Record) -> Situation:
    """What the client was and did."""
    return Situation(record.client, record.login, bool(record.tls), record.offered, record.failed)


def question(record: Record) -> Question | None:
    """The record as a question to another configuration; None for a session that tried no mail."""
    if record.kind != "smtp" or record.sender is None or not record.recipients:
        return None
    return Question(
        client=record.client,
        sender=record.sender,
        recipients=record.recipients,
        helo=record.helo or "",
        plain_helo=record.protocol == "SMTP",
        name=record.client_name,
        reverse_name=record.reverse_name,
        name_code=record.name_code,
        reverse_code=record.reverse_code,
        login=record.login,
        method=record.method,
        tls=bool(record.tls),
        port=record.client_port,
    )
