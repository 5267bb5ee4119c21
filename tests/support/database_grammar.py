"""Odd configurations of database tables and keys to ask, from dice: for tests/parity/differential_tables.py.

`place` is where the private server listens (support.database_servers); what the servers hold is below.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from support.table_grammar import Case, Command

Place = Mapping[str, str]

ROWS = [
    ("u@d.com", "r1@x.y"), ("u@d.com", "r2"), ("u@d.com", ""), ("u@d.com", None), ("u@d.com", "r,3"), ("o'b@d.com", "quote"),
    ("plain", "p"), ("back\\slash@d.com", "bs"), ("%s@d.com", "percent"), ("a*b(c)@d.com", "star"), ("@d.com", "catch"),
    ("d.com", "dom"), ("u@", "no domain"), ("@", "at"), ("a@b@d.com", "two ats"), ("x@a.b.d.com", "labels@one.two"),
    ("null", None), ("empty", ""), ("blank", "  two  words "), ("q\"q@d.com", "dq"), ("semi;colon", "s;c"), ("x@.com", "@dot"),
    ("u+e@d.com", "ext+x@y"), ("tail\\", "t\\"), ("$x", "${y}"), ("many", "m1"), ("many", "m1"), ("many", "@m2"), ("many", "m3@"),
]  # fmt: skip
KEYS = [
    "u@d.com", "U@D.COM", "o'b@d.com", "plain", "PLAIN", "back\\slash@d.com", "%s@d.com", "a*b(c)@d.com", "@d.com", "d.com", "u@", "@",
    "a@b@d.com", "x@a.b.d.com", "null", "empty", "blank", 'q"q@d.com', "semi;colon", "x@.com", "u+e@d.com", "tail\\", "$x", "many",
    "", " ", "' OR 1=1 --", "\\' OR 1=1 -- ", "none@d.com", "x@other.org", "x@sub.d.com", "x@a.b.c.d.e.f.g.h.i.j", "a..b@c..d",
    "@@", "x@d.com.", "\t", "a b@d.com", "''", "\\'", "*", "(", ")(uid=*", "%", "%d", "_@d.com", "long" * 80, "x@" + "l." * 70 + "com",
    "ann@example.com", "ann", "ANN", "bob@example.com", "nobody@example.com", "ann,dc=example", "#x", "uid=ann", "ann@com", "ann@example.com.",
]  # fmt: skip
ODD_FORMATS = [
    "%s",
    "%u",
    "%d",
    "%U",
    "%D",
    "%S",
    "%1",
    "%2",
    "%3",
    "%9",
    "%%",
    "[",
    "]",
    "smtp:",
    " ",
    "<",
    "x",
    "@",
    "\\",
    "$",
    ",",
]
NO_FORMATS = ["%", "%0", "%x", "%s%", "%-s", "% s"]


def asked(dice: random.Random, kind: str, name: str, keys: Sequence[str]) -> tuple[Command, ...]:
    """Some look-ups: many at once, of which a failure ends the rest, and one by one."""
    commands: list[Command] = []
    for _ in range(2):
        some = "".join(f"{key}\n" for key in dice.sample(keys, dice.randint(5, 20)))
        commands.append((["postmap", "-q", "-", f"{kind}:{name}"], some.encode()))
    for _ in range(3):
        commands.append(
            (["postmap", *(["-f"] if dice.random() < 0.2 else []), "-q", dice.choice(keys), f"{kind}:{name}"], b"")
        )
    return tuple(commands)


def result_format(dice: random.Random) -> str:
    """A format, now and then one that does not exist."""
    if dice.random() < 0.06:
        return dice.choice(NO_FORMATS)
    return "".join(dice.choice(ODD_FORMATS) for _ in range(dice.randint(1, 4)))


DOMAINS = ["d.com", "d.com, example.com", "!d.com, static:all", "inline:{d.com=x}", "static:x", "other.org d.com", ".d.com", "D.COM", "b@d.com",
           "regexp:{{/com$/ x}}", "!other.org static:a", "example.com", "fail:x", "nosuch:x", "@/domains", "d.com, fail:x", "com"]  # fmt: skip


def common(dice: random.Random) -> list[str]:
    """Lines that every type has."""
    lines = []
    if dice.random() < 0.4:
        lines.append(f"result_format = {result_format(dice)}")
    if dice.random() < 0.3:
        lines.append(f"domain = {dice.choice(DOMAINS)}")
    if dice.random() < 0.3:
        lines.append(f"expansion_limit = {dice.choice(['0', '1', '2', '3', '4', '10', '-1', 'x', ''])}")
    return lines


def finish(dice: random.Random, kind: str, lines: list[str], keys: Sequence[str]) -> Case:
    """The file, or main.cf with a prefix."""
    if dice.random() < 0.2:
        # $ means something in main.cf.
        text = "".join(f"tab_{line}\n" for line in lines).replace("$", "")
        return Case(b"", asked(dice, kind, "tab", keys), text, placed=True)
    return Case("".join(f"{line}\n" for line in lines).encode(), asked(dice, kind, "@/source", keys), placed=True)


QUERIES = [
    "SELECT v FROM a WHERE k = '%s'", "SELECT v FROM a WHERE k = '%s'", "SELECT v FROM a WHERE k = '%s'", "SELECT k, v FROM a WHERE k = '%s'",
    "SELECT v, k FROM a WHERE k = '%s'", "SELECT v FROM a WHERE k = '%u@%d'", "SELECT v FROM a WHERE k = '%u'", "SELECT v FROM a WHERE k = '%d'",
    "SELECT v FROM a WHERE k = '%U@%D'", "SELECT v FROM a WHERE k = '%S'", "SELECT v FROM a WHERE k = '%2.%1'", "SELECT '%s'", "SELECT '%u'",
    "SELECT '%d'", "SELECT '%1'", "SELECT '%2-%1'", "SELECT '%9'", "SELECT '%%%s%%'", "SELECT '%U|%D|%S'", "SELECT NULL", "SELECT ''", "SELECT 1",
    "SELECT 1, 2, NULL, 3", "SELECT 1.50", "SELECT 0.1 + 0.2", "SELECT -0.0", "SELECT 1e20", "SELECT 12345678901234567", "SELECT 'a,b'", "SELECT ' x '",
    "SELECT v FROM a WHERE k LIKE '%%%u%%' ORDER BY v, k", "SELECT v FROM a WHERE k IN ('%s', '%d') ORDER BY v DESC", "SELECT count(*) FROM a",
    "SELECT v FROM a WHERE k = '%s' LIMIT 1", "SELECT v FROM a WHERE k = '%s' AND v <> ''", "SELECT v FROM nowhere", "SELECT", "", "SELEC '%s'",
    "SELECT v FROM a WHERE k = '%s';", "SELECT 'a'; SELECT 'b'", "SELECT '%x'", "SELECT '%0'", "SELECT '%", "SELECT v FROM a WHERE k = %s",
    "SELECT CASE WHEN k = '%s' THEN v END FROM a WHERE k = 'plain'", "SELECT 'x' UNION ALL SELECT '%s'", "SELECT k = 'plain' FROM a WHERE k = '%s'",
    "SELECT CURRENT_DATE = CURRENT_DATE", "DELETE FROM a WHERE k = 'never there'", "-- note", "SELECT 1 -- note",
]  # fmt: skip
OWN = {
    "pgsql": [
        "SELECT true", "SELECT false, true", "SELECT DATE '2020-02-03'", "SELECT TIME '01:02:03'", "SELECT TIMESTAMP '2020-02-03 01:02:03'", "SELECT 1.0::float8",
        "SELECT 1e20::float8", "SELECT 1.50::numeric", "SELECT ARRAY['a', 'b c']", "SELECT '{\"a\": [1, true]}'::json", "SELECT '{\"a\":1}'::jsonb",
        "SELECT 'ab'::bytea", "SELECT inet '10.0.0.1/8'", "SELECT inet '10.0.0.1'", "SELECT INTERVAL '1 day 2 hours'", "SELECT 'x'::char(4)", "SELECT f('%s')",
        "SELECT uuid '00000000-0000-0000-0000-00000000000a'", "SELECT ROW(1, 'a')", "SELECT int4range(1, 3)", "SELECT 5::money", "SELECT 'NaN'::float8",
        "SELECT point '(1,2)'", "SELECT E'%s'", "SELECT v FROM a WHERE k = $1", "SELECT ARRAY[1, NULL]", "SELECT B'101'", "SELECT a FROM a WHERE k = '%s'",
        "SELECT TIMESTAMPTZ '2020-02-03 01:02:03+00'", "SELECT cidr '10.0.0.0/8'", "VALUES ('a'), ('b')", "SET search_path = public",
    ],
    "mysql": [
        "SELECT true", "SELECT DATE '2020-02-03'", "SELECT TIME '01:02:03'", "SELECT TIMESTAMP '2020-02-03 01:02:03'", "SELECT 1e0", "SELECT b'1'", "SELECT x'41'",
        "SELECT TIME '100:00:00'", "SELECT CAST(1.50 AS DECIMAL(5,2))", "SELECT CAST('0000-00-00' AS DATE)", "CALL p('%s')", "SELECT CAST('%s' AS BINARY)",
        "SELECT JSON_OBJECT('a', 1)", "SELECT \"%s\"", "SELECT TIME '-01:02:03.5'", "SELECT TIMESTAMP '2020-02-03 01:02:03.25'", "SELECT CAST(2020 AS YEAR)",
        "DO 1", "SET @x = 1", "SELECT v INTO @x FROM a WHERE k = 'plain'", "SHOW TABLES", "SELECT 1 / 3", "SELECT CAST(1 AS DOUBLE)", "SELECT CAST(0.1 AS FLOAT)",
    ],
    "sqlite": [
        "SELECT 1.0", "SELECT x'4142'", "SELECT true", "SELECT 1e300 * 1e300", "SELECT 100000000000000000000.0", "SELECT date('2020-02-03')", "VALUES ('a'), ('b')",
        "SELECT 1.5e-10", "PRAGMA user_version", "SELECT x'ff'", "SELECT 3.14159265358979", "SELECT 'a' || char(0) || 'b'", "SELECT \"%s\"",
    ],
}  # fmt: skip


def _legacy(dice: random.Random, kind: str) -> list[str]:
    if kind == "pgsql" and dice.random() < 0.4:
        return ["select_function = f", *(["table = a"] if dice.random() < 0.3 else [])]
    lines = [
        f"select_field = {dice.choice(['v', 'v', 'k, v', 'nothing'])}",
        "table = a",
        f"where_field = {dice.choice(['k', 'k', 'v', 'nothing'])}",
    ]
    if dice.random() < 0.4:
        lines.append(
            f"additional_conditions = {dice.choice([chr(65) + 'ND v <> ' + repr('r2'), 'LIMIT 1', 'AND v IS NOT NULL ORDER BY v', 'x'])}"
        )
    if dice.random() < 0.2:
        lines.pop(dice.randrange(len(lines)))
    return lines


def _sql(dice: random.Random, kind: str, place: Place, head: list[str]) -> Case:
    what = dice.random()
    if what < 0.15:
        lines = _legacy(dice, kind)
    else:
        lines = [f"query = {dice.choice(OWN[kind] if what < 0.4 else QUERIES)}"]
        if what > 0.9:
            lines += _legacy(dice, kind)
    if kind == "sqlite":
        # Postfix runs the first of several statements and does not look at the others.
        lines = [line.replace("; SELECT 'b'", "") for line in lines]
    lines = [*head, *lines, *common(dice)]
    if dice.random() < 0.1:
        lines.append(f"result_filter = {result_format(dice)}")
    if kind == "mysql" and dice.random() < 0.2:
        lines.append(f"require_result_set = {dice.choice(['no', 'yes'])}")
    keys = [key for key in KEYS if key.isascii()]
    return finish(dice, kind, lines, keys)


def _login(dice: random.Random, place: Place, user: str, password: str, base: str) -> list[str]:
    if dice.random() < 0.08:
        user = dice.choice(["nobody-such", ""])
    if dice.random() < 0.08:
        base = "nobase"
    if dice.random() < 0.08:
        password = "wrong-word"
    # Postfix has no port for a socket of PostgreSQL; MySQL's library takes localhost for a socket that is not there.
    own = (
        f"postgresql://tayori@127.0.0.1:{place['port']}/postgres" if base == "postgres" else f"unix:{place['socket']}"
    )
    good = dice.choice([f"127.0.0.1:{place['port']}", f"inet:127.0.0.1:{place['port']}", own])
    dead = dice.choice([f"127.0.0.1:{place['dead']}", "unix:/nowhere/socket", f"inet:127.0.0.1:{place['dead']}"])
    hosts = dice.choice(
        [
            good,
            good,
            good,
            good,
            f"{good} {dead}",
            f"{dead}, {good}",
            f"{good},{good}",
            dead if dice.random() < 0.3 else good,
        ]
    )
    return [f"hosts = {hosts}", f"user = {user}", f"password = {password}", f"dbname = {base}"]


def pgsql(dice: random.Random, place: Place) -> Case:
    """pgsql_table(5)."""
    return _sql(dice, "pgsql", place, _login(dice, place, "tayori", "x", "postgres"))


def mysql(dice: random.Random, place: Place) -> Case:
    """mysql_table(5)."""
    return _sql(dice, "mysql", place, _login(dice, place, "mail", "secret-word", "m"))


def sqlite(dice: random.Random, place: Place) -> Case:
    """sqlite_table(5)."""
    path = place["path"]
    if dice.random() < 0.06:
        path = dice.choice(["/nowhere/x.db", "", "@/source", "@/main.cf"])
    return _sql(dice, "sqlite", place, [f"dbpath = {path}"])


LDIF = """dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: x
dc: example

dn: cn=reader,dc=example,dc=com
objectClass: person
cn: reader
sn: r
userPassword: secret-word

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
mail: ann@example.com
mail: ann2@example.com
description: one, two

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
cn: u@d.com
sn: B
mail: bob@example.com
mail: bob2
seeAlso: uid=ann,dc=example,dc=com
description: note of bob

dn: uid=star,dc=example,dc=com
objectClass: inetOrgPerson
uid: a*b(c)
uid: star
cn: Star
cn: plain
sn: S
mail: star@example.com

dn: uid=odd\\,one+sn=O,dc=example,dc=com
objectClass: inetOrgPerson
uid: odd,one
cn: back\\slash@d.com
cn: many
sn: O
mail: odd@example.com
seeAlso: cn=gone,dc=example,dc=com

dn: cn=staff,dc=example,dc=com
objectClass: groupOfNames
cn: staff
cn: many
description: posting@example.com
member: uid=ann,dc=example,dc=com
member: uid=star,dc=example,dc=com
member: cn=inner,dc=example,dc=com

dn: cn=inner,dc=example,dc=com
objectClass: groupOfNames
cn: inner
member: uid=bob,ou=people,dc=example,dc=com
member: cn=gone,dc=example,dc=com

dn: cn=loop,dc=example,dc=com
objectClass: groupOfNames
cn: loop
member: cn=loop,dc=example,dc=com
member: uid=bob,ou=people,dc=example,dc=com

dn: cn=wrong,dc=example,dc=com
objectClass: groupOfURLs
cn: wrong
memberURL: no url at all

dn: cn=url,dc=example,dc=com
objectClass: groupOfURLs
cn: url
cn: many
memberURL: ldap:///dc=example,dc=com?mail?sub?(uid=ann)
memberURL: ldap:///ou=people,dc=example,dc=com?mail?one?(objectClass=inetOrgPerson)
memberURL: ldap:///uid=ann,dc=example,dc=com

dn: uid=alias,dc=example,dc=com
objectClass: alias
objectClass: extensibleObject
uid: alias
aliasedObjectName: uid=ann,dc=example,dc=com
"""
LDAP_KEYS = ["ann", "bob", "star", "a*b(c)", "odd,one", "staff", "inner", "loop", "wrong", "url", "many", "plain", "alias", "reader", "*", "ANN", "u@d.com",
             "back\\slash@d.com", "ann@example.com", "bob@example.com", "ann2@example.com", "ann)(uid=*", "", "@example.com", "example.com", "example", "x@example",
             "ann@people", "bob2", "posting@example.com", "bob@people.example.com", "#ann", " ann", "ann ", "a\\2ab", "x@y@example.com", "gone", "none"]  # fmt: skip
FILTERS = ["(uid=%s)", "(cn=%s)", "(mail=%s)", "(|(uid=%s)(cn=%s))", "uid=%s", "(uid=%u)", "(&(uid=%u)(mail=*@%d))", "(mail=%u@%d)", "(uid=%s*)", "(uid=*)",
           "(cn=%2)", "(uid=%u)(x", "(uid=%s", "", "(o=%d)", "(|(cn=%s)(uid=%u))", "(&(cn=%s)(objectClass=groupOfNames))", "(uid=%x)", "(uid=%%)", "(objectClass=*)",
           "(description=%s)", "(!(uid=%s))", "(nosuchattr=%s)"]  # fmt: skip
RESULTS = [
    "mail",
    "mail",
    "mail",
    "uid",
    "mail, description",
    "description mail",
    "",
    "nosuchattr",
    "MAIL",
    "cn",
    "mail, uid",
    "member",
    "seeAlso",
]
SPECIALS = ["member", "memberURL", "member, memberURL", "seeAlso", "member memberURL seeAlso", "Member", "nosuch"]
BASES = ["dc=example,dc=com", "dc=example,dc=com", "dc=example,dc=com", "dc=example,dc=com", "ou=people,dc=example,dc=com", "dc=%2,dc=%1", "ou=%d,dc=example,dc=com",
         "dc=nowhere", "", "uid=%u,dc=example,dc=com", "uid=%s,dc=example,dc=com", "no dn", "cn=%s,dc=example,dc=com"]  # fmt: skip


def ldap(dice: random.Random, place: Place) -> Case:
    """ldap_table(5)."""
    port = place["port"]
    lines = dice.choice(
        [[f"server_host = ldap://127.0.0.1:{port}"]] * 3
        + [["server_host = 127.0.0.1", f"server_port = {port}"], [f"server_host = 127.0.0.1:{port}"]]
        + [
            [f"server_host = ldap://127.0.0.1:{place['dead']}, ldap://127.0.0.1:{port}"],
            [f"server_host = ldap://127.0.0.1:{place['dead']}"],
        ]
    )
    lines = [
        *lines,
        f"search_base = {dice.choice(BASES)}",
        f"version = {dice.choice(['3', '3', '3', '3', '3', '3', '4'])}",
        "timeout = 5",
    ]
    if dice.random() < 0.95:
        lines.append(f"query_filter = {dice.choice(FILTERS)}")
    if dice.random() < 0.95:
        lines.append(f"result_attribute = {dice.choice(RESULTS)}")
    if dice.random() < 0.4:
        lines.append(f"special_result_attribute = {dice.choice(SPECIALS)}")
    if dice.random() < 0.25:
        lines.append(f"leaf_result_attribute = {dice.choice(['mail', 'uid', 'mail uid', 'description', 'MAIL'])}")
    if dice.random() < 0.2:
        lines.append(f"terminal_result_attribute = {dice.choice(['description', 'mail', 'seeAlso', 'uid'])}")
    if dice.random() < 0.2:
        lines.append(f"scope = {dice.choice(['base', 'one', 'sub', 'sub', 'ONE'])}")
    if dice.random() < 0.2:
        lines.append(f"size_limit = {dice.choice(['0', '1', '2', '5', '-1'])}")
    if dice.random() < 0.15:
        lines.append(f"recursion_limit = {dice.choice(['0', '1', '2', '3', '1000'])}")
    if dice.random() < 0.1:
        lines.append(f"dereference = {dice.choice(['0', '1', '2', '3', '4'])}")
    who = dice.choice([("cn=reader,dc=example,dc=com", "secret-word")] * 12 + [("cn=reader,dc=example,dc=com", "wrong-word"), ("cn=nobody", "x"), ("", ""), ("no dn", "x"),
                       ("cn=reader,dc=example,dc=com", "")])  # fmt: skip
    lines += [
        f"bind = {dice.choice(['yes'] * 8 + ['no', 'simple', 'none', 'YES', 'x'])}",
        f"bind_dn = {who[0]}",
        f"bind_pw = {who[1]}",
    ]
    keys = LDAP_KEYS
    if any(line.startswith(("leaf_", "terminal_")) for line in lines):
        # What one entry has of these decides in Postfix about the entries behind it, too.
        lines = [line for line in lines if not line.startswith("query_filter")]
        lines.append(f"query_filter = {dice.choice(FILTERS[:3])}")
        keys = [key for key in LDAP_KEYS if key != "many"]
    shared = common(dice)
    if dice.random() < 0.15:
        lines.append(f"result_filter = {result_format(dice)}")
    return finish(dice, "ldap", [*lines, *shared], keys)


CACHED = {"p:u@d.com": "one two", "p:plain": "x", "u@d.com": "bare", "plain": "y", "d.com": "dom", "u": "user", "empty": "", "comma": "a,b", "com": "label",
          "long": "l" * 3000, "p:": "nothing", "%": "percent", "a%20b": "coded"}  # fmt: skip
CACHE_KEYS = ["u@d.com", "U@D.com", "plain", "d.com", "u", "empty", "comma", "com", "long", "", "none", "%", "%s", "x@d.com", "x" * 240,
              "back1", "back1@d.com", "u@com", "x@y.com", "é"]  # fmt: skip
BACKUPS = [
    "inline:{back1=from behind}",
    "fail:x",
    "static:always",
    "nosuch:x",
    "inline:{plain=other,back1=b}",
    "hash:/nowhere/file",
    "",
]


def memcache(dice: random.Random, place: Place) -> Case:
    """memcache_table(5); what is put into it by a backup has a prefix of its own for each side."""
    lines = [
        f"memcache = {dice.choice([place['memcache']] * 6 + ['inet:127.0.0.1:' + place['dead'], 'unix:/nowhere/m', 'x'])}"
    ]
    if dice.random() < 0.6:
        lines.append(
            f"key_format = {dice.choice(['p:%s', '%s', '%u', '%d', '%1', 'p:%u@%d', '%2.%1', '%%', '%x', 'long', '%S', '%U', ''])}"
        )
    if dice.random() < 0.3:
        lines.append(f"domain = {dice.choice(DOMAINS[:10])}")
    if dice.random() < 0.3:
        lines.append(f"backup = {dice.choice(BACKUPS)}")
        # What it finds is put into the server: under names that no other case asks for.
        lines = [line for line in lines if not line.startswith("key_format")]
        lines.append(f"key_format = {dice.choice(['@/%s', '@/%u', '@/%d', '@/%1'])}")
    for name, values in (("line_size_limit", ["64", "100", "2000", "0"]), ("data_size_limit", ["3", "100", "10000", "0"]), ("ttl", ["0", "10", "-1"]),
                         ("flags", ["0", "5"]), ("max_try", ["1", "2", "0"]), ("retry_pause", ["1", "0"]), ("timeout", ["1", "2"])):  # fmt: skip
        if dice.random() < 0.08:
            lines.append(f"{name} = {dice.choice(values)}")
    if dice.random() < 0.08:
        lines.append(f"result_format = {result_format(dice)}")
    if "ttl = 0" not in lines:
        lines.append("ttl = 1")
    return finish(dice, "memcache", lines, CACHE_KEYS)
