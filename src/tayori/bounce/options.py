"""The settings that reports depend on, read once: postconf(5) bounce_size_limit, notify_classes and friends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings


@dataclass(frozen=True, slots=True)
class BounceOptions:
    """`warning` and `lifetime` are seconds; `size_limit` is bytes, 0 for none; addresses are complete."""

    hostname: str = "localhost"
    origin: str = "localhost"
    mail_name: str = "Postfix"
    size_limit: int = 50_000
    double_bounce: str = "double-bounce@localhost"
    classes: frozenset[str] = frozenset(("resource", "software"))
    bounce_notice: str = "postmaster@localhost"
    double_bounce_notice: str = "postmaster@localhost"
    delay_notice: str = "postmaster@localhost"
    threaded: bool = False
    written: Mapping[str, str] = field(default_factory=dict)
    """The addresses of notices as main.cf has them."""
    warning: int = 0
    lifetime: int = 432_000

    @classmethod
    def of(cls, settings: Settings) -> BounceOptions:
        """Raises ConfigError."""
        hostname = settings.text("myhostname")
        origin = _origin(settings)

        written: dict[str, str] = {}

        def complete(name: str, domain: str) -> str:
            address = settings.text(name)
            whole = address if "@" in address else f"{address}@{domain}"
            written[whole] = address
            return whole

        return cls(
            hostname=hostname,
            origin=origin,
            mail_name=settings.text("mail_name"),
            size_limit=settings.number("bounce_size_limit"),
            double_bounce=complete("double_bounce_sender", hostname),
            classes=frozenset(word.lower() for word in settings.items("notify_classes")),
            bounce_notice=complete("bounce_notice_recipient", origin),
            double_bounce_notice=complete("2bounce_notice_recipient", origin),
            delay_notice=complete("delay_notice_recipient", origin),
            written=written,
            threaded=settings.flag("enable_threaded_bounces"),
            warning=settings.seconds("delay_warning_time"),
            lifetime=settings.seconds("maximal_queue_lifetime"),
        )


def _origin(settings: Settings) -> str:
    """$myorigin; a path names a file whose first line is the domain (as Debian's /etc/mailname)."""
    value = settings.text("myorigin")
    if not value.startswith("/"):
        return value
    try:
        return Path(value).read_text("utf-8").split("\n", 1)[0].strip()
    except OSError as error:
        raise ConfigError(f"myorigin = {value}: {error.strerror}", settings.origin("myorigin")) from error
