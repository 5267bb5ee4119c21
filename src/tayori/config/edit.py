"""Changing main.cf in place, postconf(1) -e, -# and -X: comments and everything else stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

from tayori.config.maincf import logical_lines


def _spans(text: str) -> dict[str, list[tuple[int, list[int]]]]:
    """name -> [(first line, all its lines)], counted from 1."""
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for pieces in logical_lines(text):
        name = pieces[0].text.partition("=")[0].strip()
        found.setdefault(name, []).append((pieces[0].line, [piece.line for piece in pieces]))
    return found


def assign(text: str, values: Mapping[str, str]) -> str:
    """Set each name: its first line is replaced, later ones of the same name go, a new one is added at the end."""
    lines: list[str | None] = list(text.split("\n"))
    spans = _spans(text)
    added: list[str] = []
    for name, value in values.items():
        new = f"{name} = {value}".rstrip()
        if name not in spans:
            added.append(new)
            continue
        for index, (first, numbers) in enumerate(spans[name]):
            for number in numbers:
                lines[number - 1] = None
            if index == 0:
                lines[first - 1] = new
    kept = [line for line in lines if line is not None]
    if added:
        end = [] if kept and kept[-1] else [kept.pop()] if kept else [""]
        kept += added + (end or [""])
    return "\n".join(kept)


def comment_out(text: str, names: tuple[str, ...]) -> str:
    """Put # before every line of each name."""
    lines = text.split("\n")
    spans = _spans(text)
    for name in names:
        for _, numbers in spans.get(name, ()):
            for number in numbers:
                lines[number - 1] = "#" + lines[number - 1]
    return "\n".join(lines)


def remove(text: str, names: tuple[str, ...]) -> str:
    """Take every line of each name away."""
    spans = _spans(text)
    gone = {number for name in names for _, numbers in spans.get(name, ()) for number in numbers}
    return "\n".join(line for number, line in enumerate(text.split("\n"), start=1) if number not in gone)
