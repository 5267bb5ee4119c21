"""The settings that reports depend on, read once: postconf(5) bounce_size_limit, notify_classes and friends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tayori.config.settings import Settings
from tayori.rewrite.form import Form
from tayori.rewrite.headerfix import named

NAME = "Mail Delivery System"


@dataclass(frozen=True, slots=True)
class BounceOptions:
    """`warning` and `lifetime` are seconds; `size_limit` is bytes, 0 for none; addresses are complete."""

    hostname: str = "localhost"
    reporter: str = f"{NAME} <MAILER-DAEMON@localhost>"
    """The From of a report."""
    mail_name: str = "Postfix"
    size_limit: int = 50_000
    double_bounce: str = "double-bounce@localhost"
    classes: frozenset[str] = frozenset(("resource", "software"))
    bounce_notice: str = "postmaster@localhost"
    double_bounce_notice: str = "postmaster@localhost"
    delay_notice: str = "postmaster@localhost"
    threaded: bool = False
    error_notice: str = "postmaster@localhost"
    written: Mapping[str, str] = field(default_factory=dict)
    """The addresses of notices as main.cf has them."""
    warning: int = 0
    lifetime: int = 432_000

    @classmethod
    def of(cls, settings: Settings) -> BounceOptions:
        """Raises ConfigError."""
        hostname = settings.text("myhostname")
        origin = settings.text("myorigin")
        daemon = Form(settings).envelope("MAILER-DAEMON")
        written: dict[str, str] = {}

        def complete(name: str, domain: str) -> str:
            address = settings.text(name)
            whole = address if "@" in address else f"{address}@{domain}"
            written[whole] = address
            return whole

        return cls(
            hostname=hostname,
            reporter=named(daemon, NAME, settings.text("header_from_format") == "obsolete"),
            mail_name=settings.text("mail_name"),
            size_limit=settings.number("bounce_size_limit"),
            double_bounce=complete("double_bounce_sender", hostname),
            classes=frozenset(word.lower() for word in settings.items("notify_classes")),
            bounce_notice=complete("bounce_notice_recipient", origin),
            double_bounce_notice=complete("2bounce_notice_recipient", origin),
            delay_notice=complete("delay_notice_recipient", origin),
            error_notice=complete("error_notice_recipient", origin),
            written=written,
            threaded=settings.flag("enable_threaded_bounces"),
            warning=settings.seconds("delay_warning_time"),
            lifetime=settings.seconds("maximal_queue_lifetime"),
        )
