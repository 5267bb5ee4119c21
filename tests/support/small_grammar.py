"""Small table types, inside one another, and servers with odd answers, from dice: for tests/parity/differential_tables.py."""

from __future__ import annotations

import random

from support.database_grammar import Place
from support.table_grammar import Case, Command

KEYS = ["a", "A", "b", "c", "ab", "a b", "x@y.com", "y.com", "10.1.1.1", "::1", "root", "ROOT", "daemon", "nobody-such", "", " ", "a ", " a", "é", "É",
        "1", "2", "one", "PATH", "path", "key", "{", "}", "a=b", "q,r", "two words", "none", "$1", "x" * 300]  # fmt: skip
INLINE = ["a=1", "A=2", "b = 2", "{b = x y}", "{ c=3, 4 }", "é=5", "x@y.com=one", "1=one", "2=a", "one=end", "{ key = {v} }", "a=b=c",
          "a", "{}", "c= 4", "{q,r = 1}", "b=fail"]  # fmt: skip
STATIC = ["x", "a", "{ some words }", "{x,y}", "1,2", "{}", "a b", "{a} b", "one", "{ {x} }", "2"]
WORDS = ["one", "a", "1", "x@y.com", "b", "{}"]
RULES = {
    "cidr": ["{10.0.0.0/8 ten}", "{::/0 six}", "{!10.0.0.0/8 not}", "{ 0.0.0.0/0   any  more }"],
    "regexp": ["{/^a(.?)/ got $1}", "{/one/ 1}", "{/./ dot}", "{!/a/ no}", "{ /x@(.*)/   $1 }"],
    "pcre": ["{/^a(.?)/ got ${1}}", "{/one/i 1}", "{/./ dot}", "{!/a/ no}", "{/(?=a)/ look}", "{ /x@(.*)/   $1 }"],
}


def _join(dice: random.Random, items: list[str]) -> str:
    gap = dice.choice([", ", ",", " ", "  ", ", "])
    edge = dice.choice(["", "", " "])
    return "{" + edge + gap.join(items) + edge + "}"


def spec(dice: random.Random, depth: int = 0) -> str:
    """One table."""
    kinds = (
        ["inline"] * 5 + ["static"] * 2 + ["randmap", "cidr", "regexp", "pcre", "unix", "environ", "texthash", "hash"]
    )
    kinds += ["unionmap", "pipemap"] * (4 if depth == 0 else 1 if depth < 3 else 0)
    kinds += ["fail"] if dice.random() < 0.3 else []
    match dice.choice(kinds):
        case "inline":
            made = "inline:" + _join(
                dice, dice.choices(INLINE[:13] if dice.random() < 0.9 else INLINE, k=dice.randint(1, 4))
            )
        case "static":
            made = f"static:{dice.choice(STATIC)}"
        case "randmap":
            made = "randmap:" + _join(
                dice, [dice.choice(WORDS if dice.random() < 0.1 else WORDS[:5])] * dice.randint(1, 3)
            )
        case "cidr" | "regexp" | "pcre" as kind:
            made = f"{kind}:" + _join(dice, dice.choices(RULES[kind], k=dice.randint(1, 3)))
        case "unix":
            made = f"unix:{dice.choice(['passwd.byname', 'group.byname', 'passwd.byname', 'x'])}"
        case "environ":
            made = f"environ:{dice.choice(['x', 'y'])}"
        case "texthash" | "hash" as kind:
            made = f"{kind}:@/source"
        case "fail":
            made = "fail:x"
        case kind:
            parts = [spec(dice, depth + 1) for _ in range(dice.randint(1, 3))]
            made = f"{kind}:" + _join(dice, parts)
    if dice.random() < 0.02:
        made = dice.choice([made[:-1], made + "}", made.replace("{", "", 1), made + " x", made.replace(":", "", 1)])
    return made


LINES = [
    "a from file",
    "b one",
    "1 end",
    "one 2",
    "x@y.com y.com",
    "A second",
    '"a b" q',
    "é utf",
    "2 a, b",
    "key one",
]


def small(dice: random.Random) -> Case:
    """inline, static, randmap, unionmap, pipemap, environ, unix, fail, texthash, hash and rules, within one another."""
    source = "\n".join(dice.sample(LINES, dice.randint(2, 8))) + "\n"
    table = spec(dice)
    commands: list[Command] = [(["postmap", "-w", "hash:@/source"], b"")]
    some = dice.sample(KEYS, dice.randint(4, 14))
    commands.append((["postmap", "-q", "-", table], "".join(f"{key}\n" for key in some).encode()))
    for _ in range(4):
        commands.append((["postmap", *(["-f"] if dice.random() < 0.1 else []), "-q", dice.choice(KEYS), table], b""))
    if dice.random() < 0.3:
        commands.append((["postmap", dice.choice(["-s", "-s", "-d", "-i"]), table], b"z 1\n"))
        if "texthash" in table:
            commands[-1][0][1] = "-s"
        if commands[-1][0][1] == "-d":
            commands[-1][0].insert(2, "a")
    return Case(source.encode(), tuple(commands))


TCP_REPLIES = ["200 found", "200 two words", "200 %41%20b", "200 a%2525", "500 no such", "500 ", "500", "400 later", "200 ", "200", "200 x%", "200 x%4", "200 x%zz",
               "300 what", "nonsense", "", "200\tx", "200  lead", "200 trail ", "200 " + "v" * 3000, "200 " + "v" * 5000, "200 é", "200 %C3%A9", "200 %ff", "200 a,b",
               "2000 x", "200x y", "200 a%00b", "200 %00", "500\r"]  # fmt: skip
MAP_REPLIES = ["OK found", "OK two words", "NOTFOUND ", "NOTFOUND", "NOTFOUND x", "TEMP later", "TIMEOUT slow", "PERM wrong", "OK ", "OK", "ok x", "HUH x", "", "OK  lead",
               "OK trail ", "OK " + "v" * 3000, "OK " + "v" * 99000, "OK " + "v" * 101000, "OK é", "OK a\0b", "OK a\nb", "OK \udcff", "OK a,b", "TEMP", "PERM"]  # fmt: skip
PAIR_KEYS = [f"k{number}" for number in range(40)] + ["K1", "a b", "é", "%", "a%20b", "x" * 200, "k 3", "k\t4", '"k"']


def tcp(dice: random.Random, place: Place) -> Case:
    """tcp_table(5): the server answers by the key."""
    keys = dice.sample(PAIR_KEYS, 6)
    where = dice.choice([f"127.0.0.1:{place['tcp']}"] * 8 + [f"localhost:{place['tcp']}", "127.0.0.1", "nowhere"])
    return _server_case(dice, f"tcp:{where}", keys)


def socketmap(dice: random.Random, place: Place) -> Case:
    """socketmap_table(5)."""
    keys = dice.sample(PAIR_KEYS, 6)
    where = dice.choice(
        [f"inet:127.0.0.1:{place['socketmap']}"] * 4
        + [f"unix:{place['path']}"] * 3
        + ["unix:/nowhere", "inet:x", "x:y", f"127.0.0.1:{place['socketmap']}"]
    )
    name = dice.choice(["m", "m", "other", "", "a b"])
    return _server_case(dice, f"socketmap:{where}:{name}" if name else f"socketmap:{where}", keys)


def _server_case(dice: random.Random, table: str, keys: list[str]) -> Case:
    commands: list[Command] = [(["postmap", "-q", "-", table], "".join(f"{key}\n" for key in keys[:3]).encode())]
    commands += [(["postmap", *(["-f"] if dice.random() < 0.1 else []), "-q", key, table], b"") for key in keys[3:]]
    if dice.random() < 0.1:
        commands.append((["postmap", "-s", table], b""))
    return Case(b"", tuple(commands))
