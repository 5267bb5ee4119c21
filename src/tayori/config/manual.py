"""docs/parameters.md, made from the rows. A test makes it again and compares.

Make it: `python -m tayori.config.manual > docs/parameters.md`
"""

from __future__ import annotations

from tayori.config.params import GROUPS, Kind, Row, Status

HEAD = """# Parameters

Made from `src/tayori/config/params/` by `python -m tayori.config.manual > docs/parameters.md`; do not edit.

Names, defaults and meaning are those of Postfix 3.12, postconf(5). What stands under State:

- works: as in Postfix.
- partly: works, but for what is said there.
- not yet: it comes later; what is said there holds until then.
- no effect: it never will have any; the reason is said there.
- old name: Postfix has a newer one.
- tayori: one of our own.

`tayori check` says the same of each parameter that a configuration sets.
"""

SHOWN = {Status.PARTLY: "partly", Status.PLANNED: "not yet", Status.ACCEPTED: "no effect"}


def state(row: Row) -> str:
    """One cell that says what tayori does with the parameter."""
    if row.tayori:
        return "tayori"
    if row.status is Status.IMPLEMENTED:
        return "works"
    if row.status is Status.TRANSLATED:
        return f"old name, not read: {row.why}" if row.why else f"old name: write `{row.instead}`"
    return f"{SHOWN[row.status]}: {row.why}"


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
    columns = "| Parameter | Default | Value | Meaning | State |\n|---|---|---|---|---|\n"
    for group in GROUPS:
        out.append(f"\n## {group.title}\n\n{columns}")
        for row in group.rows:
            default = f"`{escaped(row.default)}`" if row.default else "(empty)"
            cells = (f"`{row.name}`", default, value(row), escaped(row.doc), escaped(state(row)))
            out.append(f"| {' | '.join(cells)} |\n")
    return "".join(out)


if __name__ == "__main__":
    print(parameters_md(), end="")
