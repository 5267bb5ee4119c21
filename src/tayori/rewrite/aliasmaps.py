"""The alias databases of a parameter, opened as aliases(5) (a missing one counts as empty, with a warning)."""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.tables.outcome import Table
from tayori.tables.registry import Tables


def alias_tables(settings: Settings, tables: Tables, name: str) -> tuple[Table, ...]:
    """The tables that parameter `name` lists: those of alias_maps and alias_database in the form of aliases(5).

    NIS, which stands in the built-in default of alias_maps where a system has it, is left out unless
    main.cf itself names it; then ConfigError says what to do instead.
    """
    aliases = _named(settings)
    by_default = not settings.is_set(name) and not settings.is_set("alias_maps")
    found = []
    for item in settings.items(name):
        bare = item.removeprefix("proxy:")
        if by_default and bare.startswith(("nis:", "netinfo:", "nisplus:")):
            continue
        form = "aliases" if name == "alias_maps" or item in aliases or bare in aliases else "map"
        origin = settings.origin_of(name, item) or settings.origin("alias_maps")
        found.append(tables.open(item, origin, form))
    return tuple(found)


def alias_file(settings: Settings, spec: str) -> bool:
    """Whether the file of `type:path` is an alias file: alias_maps or alias_database names it."""
    path = spec.removeprefix("proxy:").partition(":")[2]
    return any(path == item.removeprefix("proxy:").partition(":")[2] for item in _named(settings))


def _named(settings: Settings) -> set[str]:
    return {*settings.items("alias_maps"), *settings.items("alias_database"), "hash:/etc/aliases"}
