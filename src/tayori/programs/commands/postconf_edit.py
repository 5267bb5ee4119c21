"""postconf -e, -# and -X, for main.cf and, with -M, -F and -P, for master.cf.

The file is written beside itself, synced and renamed, with the mode and owner it had; a symbolic link stays one.
Two edits at once wait for each other, so that none is lost. Nothing is written when any operand is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tayori.config import edit, masterentry
from tayori.config.edit import Request
from tayori.config.masterentry import FIELDS, Entry
from tayori.config.origin import ConfigError
from tayori.programs.commands.check import replace_file
from tayori.programs.commands.postconf_options import Options, pair

Warn = Callable[[str], None]
_PARTS = {"M": 2, "F": 3, "P": 3}
_FORMS = {
    "M": "-Me, -MX or -M# requires service_name/type",
    "F": "-Fe or -FX requires service_name/type/field_name",
    "P": "-Pe or -PX requires service_name/type/parameter",
}


def change(options: Options, warn: Warn) -> None:
    """Do what the options say. Raises ConfigError for bad operands, OSError when the file cannot be changed."""
    if options.mode == "p":
        with _held(options.main) as path:
            replace_file(path, _main(options, _text(path), warn))
        return
    requests = [_request(options, operand) for operand in options.operands]
    with _held(options.master) as path:
        text = edit.services(_text(path), requests, options.master)
        for request, operand in zip(requests, options.operands, strict=True):
            if request.change is not None and not request.matched:
                warn(f'unmatched service_name/type: "{operand}"')
        replace_file(path, text)


@contextlib.contextmanager
def _held(name: str) -> Iterator[Path]:
    """Only one edit in a folder at a time: the folder itself is locked. Raises OSError."""
    path = Path(name).resolve(strict=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield path
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _main(options: Options, text: str, warn: Warn) -> str:
    if "e" in options.letters:
        edited = edit.assign(text, _values(options.operands, warn))
    else:
        for operand in options.operands:
            _one_line(operand, "-e, -X, or -# accepts no ")
            if "=" in operand:
                raise ConfigError("-X or -# requires parameter names without value")
            if not operand.strip():
                raise ConfigError("-X or -# requires non-blank parameter names")
        edited = (edit.remove if "X" in options.letters else edit.comment_out)(text, options.operands)
    for name in edited.repeated:
        warn(f'{options.main}: multiple entries for "{name}"')
    return edited.text


def _values(operands: list[str], warn: Warn) -> dict[str, str]:
    values: dict[str, str] = {}
    for operand in operands:
        _one_line(operand, "-e, -X, or -# accepts no ")
        name, value = pair(operand)
        if name in values:
            warn(f"ignoring earlier request: '{name} = {values[name]}'")
        values[name] = value
    return values


def _one_line(operand: str, words: str) -> None:
    if "\n" in operand or "\r" in operand:
        raise ConfigError(f"{words}multi-line input")
    if operand.lstrip().startswith("#"):
        raise ConfigError(f"{words}comment input")


def _request(options: Options, operand: str) -> Request:
    mode = options.mode
    _one_line(operand, "-Me, -Fe, -Pe, -X, or -# accept no ")
    pattern, value = pair(operand) if "e" in options.letters else (operand, "")
    if "=" in pattern:
        raise ConfigError("-X or -# requires names without value")
    parts = pattern.split("/")
    if len(parts) != _PARTS[mode] or not all(parts):
        raise ConfigError(_FORMS[mode])
    name, kind, title = [*parts, ""][:3]
    if "#" in options.letters:
        return Request(name, kind, comment=True)
    if mode == "M":
        if "X" in options.letters:
            return Request(name, kind, remove=True)
        return Request(name, kind, entry=masterentry.parse(value, f'bad field count: "{operand}"'))
    change = _field(title, value) if mode == "F" else _parameter(title, value, "X" in options.letters)
    return Request(name, kind, change=change)


def _field(title: str, value: str) -> Callable[[Entry], None]:
    if title == "*":
        raise ConfigError("-Fe does not accept wild-card field name")
    if title not in FIELDS:
        raise ConfigError(f'invalid service attribute name: "{title}"')
    if not value:
        raise ConfigError(f'"{title}" needs a value', mend="write - for the default")
    if title != "command" and len(value.split()) > 1:
        raise ConfigError("-Fe does not accept whitespace in non-command field")
    return partial(Entry.set_value, title=title, text=value)


def _parameter(name: str, value: str, removed: bool) -> Callable[[Entry], None]:
    if name == "*":
        raise ConfigError("-Pe does not accept wild-card parameter name")
    if removed:
        return partial(Entry.remove, name=name)
    if len(value.split()) > 1:
        raise ConfigError("-Pe does not accept whitespace in parameter value")
    return partial(Entry.assign, name=name, value=value)
