"""lmtp(8): the SMTP agent speaking LMTP (RFC 2033): LHLO, and one answer per recipient after the content."""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.delivery.mx import Names
from tayori.delivery.smtp import SmtpAgent


def lmtp_agent(settings: Settings, names: Names) -> SmtpAgent:
    """An agent for next hops such as `unix:private/dovecot-lmtp` or `inet:host:port`. Raises ConfigError."""
    return SmtpAgent(settings, names, lmtp=True)
