"""cleanup_service_name that names no cleanup service of master.cf: its header checks and tables would be left out."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin

NAME = "cleanup_service_name"
UNKNOWN = Message(
    "warning",
    "unknown-cleanup-service",
    'there is no cleanup service "{service}" in master.cf',
    "Mail of this service is cleaned by the usual rules; Postfix would put it off with 451.",
    "Add a line to master.cf:  {service} unix n - n - 0 cleanup -o name=value  or correct the name.",
)


def check(source: Source) -> Iterator[Finding]:
    """main.cf, and the -o of every service."""
    known = {service.name for service in source.services if service.command == "cleanup"} | {"cleanup"}
    views = [source.settings, *(service.settings(source.settings) for service in source.services)]
    for view in views:
        try:
            service = view.text(NAME)
        except ConfigError:
            continue  # the value has its own finding
        if service not in known:
            yield UNKNOWN.at(view.origin(NAME) or Origin(source.main), service=service)
