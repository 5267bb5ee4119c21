"""docs/parameters.md, made from the rows. A test makes it again and compares.

Make it: `python -m tayori.config.manual > docs/parameters.md`
"""

from __future__ import annotations

from tayori.config.params import GROUPS, Kind, Row, Status

HEAD = """# Parameters

Made from `src/tayori/config/params/` by `python -m tayori.config.manual > docs/parameters.md`; do not edit.

Names, defaults and meaning are those of Postfix 3.12, postconf(5). "tayori" marks the few of our own.
"""


def state(row: Row) -> str:
    """One cell that says what tayori does with the parameter."""
    if row.tayori:
        return "tayori"
    if row.status is Status.IMPLEMENTED:
        return "works"
    if row.status is Status.PLANNED:
        return f"planned: {row.reason}"
    if row.status is Status.TRANSLATED:
        return f"old name: write `{row.instead}`"
    return f"accepted, no effect: {row.reason}"


def value(row: Row) -> str:
    """One cell that says what the value must look like."""
    if row.kind is Kind.CHOICE:
        return " / ".join(f"`{choice}`" if choice else "empty" for choice in row.choices)
    if row.kind is Kind.TIME:
        return f"time, bare number in {row.unit}"
    return str(row.kind.value).partition(",")[0]


def escaped(text: str) -> str:
    """Text that may stand in a table cell."""
    return text.replace("|", "\\|")


def parameters_md() -> str:
    """The whole page."""
    out = [HEAD]
    columns = "| Parameter | Default | Value | State | Meaning |\n|---|---|---|---|---|\n"
    for group in GROUPS:
        out.append(f"\n## {group.title}\n\n{columns}")
        for row in group.rows:
            default = f"`{escaped(row.default)}`" if row.default else "(empty)"
            cells = (f"`{row.name}`", default, value(row), escaped(state(row)), escaped(row.doc))
            out.append(f"| {' | '.join(cells)} |\n")
    return "".join(out)


if __name__ == "__main__":
    print(parameters_md(), end="")
