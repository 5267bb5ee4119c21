"""Reading smtpd.conf, the Cyrus SASL library's own file: which mechanisms, and where passwords are checked.

`key: value` lines; `#` begins a comment line; keys do not depend on case; of two lines with one key the
first counts, as in the Cyrus library. Secrets may stand here (sql_passwd): reprs do not show values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

SYSTEM_FOLDERS = ("/etc/postfix/sasl", "/usr/lib/sasl2", "/etc/sasl2", "/usr/lib/x86_64-linux-gnu/sasl2")
_LINE = re.compile(r"^([A-Za-z0-9_-]+)\s*:\s*(.*)$")


@dataclass(frozen=True, slots=True)
class SmtpdConf:
    """`path` is empty when no file was found. `values` maps a lower-case key to its value and place."""

    path: str = ""
    values: dict[str, tuple[str, Origin]] = field(default_factory=dict, repr=False)

    def get(self, key: str, default: str = "") -> str:
        """The value of `key`, or `default`."""
        found = self.values.get(key)
        return found[0] if found else default

    def origin(self, key: str) -> Origin | None:
        """Where `key` stands; None when it is not set."""
        found = self.values.get(key)
        return found[1] if found else None

    def words(self, key: str) -> tuple[str, ...]:
        """The value split at blanks and commas (mech_list, pwcheck_method, auxprop_plugin)."""
        return tuple(self.get(key).replace(",", " ").split())


def parse_all(text: str, file: str) -> tuple[SmtpdConf, tuple[ConfigError, ...]]:
    """What can be understood, and the errors of the other lines: for `check`."""
    values: dict[str, tuple[str, Origin]] = {}
    errors: list[ConfigError] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        origin = Origin(file, number)
        match = _LINE.match(stripped)
        if match is None:
            shown = stripped.partition("=")[0].strip()[:30]
            errors.append(ConfigError(f'"{shown}" is not key: value', origin, "write key: value, with a colon"))
        elif not match.group(2):
            errors.append(ConfigError(f'"{match.group(1)}" has no value', origin, "give a value or delete the line"))
        else:
            values.setdefault(match.group(1).lower(), (match.group(2).strip(), origin))
    return SmtpdConf(file, values), tuple(errors)


def parse(text: str, file: str) -> SmtpdConf:
    """Raises ConfigError for a line that is not `key: value`."""
    conf, errors = parse_all(text, file)
    if errors:
        raise errors[0]
    return conf


def candidates(settings: Settings, system_folders: tuple[str, ...] = SYSTEM_FOLDERS) -> tuple[Path, ...]:
    """The places where the file may be, first match wins: DIR/sasl, `cyrus_sasl_config_path`, the usual folders."""
    name = (settings.text("smtpd_sasl_path") or "smtpd").rsplit("/", 1)[-1] + ".conf"
    own = [folder for folder in settings.text("cyrus_sasl_config_path").split(":") if folder]
    return tuple(Path(folder) / name for folder in (f"{settings.directory}/sasl", *own, *system_folders))


def locate(settings: Settings, system_folders: tuple[str, ...] = SYSTEM_FOLDERS) -> Path | None:
    """The file that counts, or None."""
    return next((path for path in candidates(settings, system_folders) if path.is_file()), None)


def find(settings: Settings, system_folders: tuple[str, ...] = SYSTEM_FOLDERS) -> SmtpdConf:
    """The smtpd.conf of this configuration; an empty one when there is none. Raises ConfigError."""
    path = locate(settings, system_folders)
    if path is None:
        return SmtpdConf()
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Origin(str(path)), "check its mode") from error
    return parse(text, str(path))
