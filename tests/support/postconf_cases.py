"""Configuration folders and command lines that the real postconf(1) and ours are both given."""

from __future__ import annotations

import random

PLAIN_MAIN = """\
# head
myhostname = mail.example.com
mydestination = $myhostname,
   # inner comment
   localhost

   other
foo = bar
use_of_foo=$foo
relayhost =
relayhost = [x.example]
myclass = reject
smtpd_restriction_classes = myclass
smtpd_recipient_restrictions = permit_mynetworks, check_recipient_access hash:/etc/x,
	myclass, reject_unauth_destination, check_policy_service { inet:localhost:1234, timeout = 3s }
ldapx_server_host = l
ldapx_bogus = y
virtual_alias_maps = ldap:ldapx, mysql:/nonexistent/x.cf
mynetworks = 127.0.0.0/8
slow_destination_concurrency_limit = 3
maildrop_time_limit = 60s
smtp_tls_security_level = ${foo?may}
"""
PLAIN_MASTER = """\
# comment head
smtp      inet  n       -       y       -       -       smtpd
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  # comment between
  -o { smtpd_client_restrictions = permit_mynetworks,  reject }
  -o smtpd_tls_security_level=encrypt -o foo2=$bar2
slow unix - - n - - smtp -v
slow unix - - n - - smtp -o a=b
maildrop  unix  -       n       n       -       -       pipe flags=DRXhu user=vmail argv=/usr/bin/maildrop -d \
${recipient} { a b  c }
127.0.0.1:10025 inet n - n - - smtpd -o mynetworks=1.2.3.4 -o foo=$mydomain
"""
ODD_MAIN = """\

   # indented note

myorigin=a  # no note
\tmore   blanks
  # note

  # note two
  last
myhostname\t=\tx.example
mynetworks =
  127.0.0.0/8
  [::1]/128
# relayhost = old
#  indented old
unknown_one = ${nope}${nope2?a}${nope3:b}
soft_bounce = $unset_one
notify_classes =
alias_maps = hash:/etc/aliases, ldap:lx pgsql:px, proxy:mysql:mx
lx_timeout = 3
px_hosts = h
px_timeout = 3
mx_query = q
inline_thing = x
smtpd_banner = $myhostname ESMTP ${inline_thing} $(mail_name)
"""
ODD_MASTER = """\

# services
smtp\tinet\tn\t-\t-\t-\t-\tsmtpd

  # note
\t-o\ta=b

   -v
smtp inet n - - - - smtpd -o smtpd_banner=$c -o c=1
dup unix - n n 60? 3 pipe
  flags=R user=x argv=/bin/x {a b} ${sender}
dup unix - n n - - pipe user=y argv=/bin/y
lmtp-x unix - - n 0 0 lmtp -o { lmtp_tls_policy_maps = inline:{ {a.example = may}, {b.example=none} } } -o u=v
x.y:25 inet n - n - 10 smtpd -o mynetworks=
tlsproxy  unix  -       -       y       -       0       tlsproxy
# end
"""
BROKEN_MAIN = "  leading = x\nmyhostname = a.example\nno equals here\n"
CR_MAIN = "myhostname = a.example\r\n# note\r\nrelayhost = x,\r\n  y\r\nfoo = 1\r\n"
SHORT_MASTER = "smtp inet n - n - - smtpd\nbroken unix - - n\n"
BAD_COLUMN = "smtp inet n - maybe - - smtpd\n"
ONE_WORD = "smtp inet n - n - - smtpd\nalone\n  unix - - n - - smtp\n"

FOLDERS: dict[str, tuple[str, str]] = {
    "plain": (PLAIN_MAIN, PLAIN_MASTER),
    "odd": (ODD_MAIN, ODD_MASTER),
    "empty": ("", "smtp inet n - - - - smtpd\n"),
    "broken": (BROKEN_MAIN, PLAIN_MASTER),
    "carriage": (CR_MAIN, PLAIN_MASTER.replace("\n", "\r\n")),
    "short": ("myhostname = a.example\n", SHORT_MASTER),
    "column": ("myhostname = a.example\n", BAD_COLUMN),
    "oneword": ("myhostname = a.example\n", ONE_WORD),
    "nomaster": ("myhostname = a.example\nslow_time_limit = 3\n", ""),
}

SHOW = """
-n
-nf
-nx
-nh
-nH
-nhx
-nHf
-nfx
-n relayhost myhostname
-n mail_name
-np relayhost
relayhost
-h relayhost
-H relayhost mydestination
-x mydestination smtpd_banner
-f smtpd_recipient_restrictions
nonexistent foo use_of_foo
-d myorigin relayhost
-dh relayhost
-dx myorigin
-d foo
-df import_environment
-o foo=zzz -x use_of_foo smtp_tls_security_level
-o foo= -x smtp_tls_security_level
-n -o relayhost=override
-n -o myhostname=$mail_name -x
-C user
-C service
-C user,service -n
-C builtin -n
-C all -n
-C user -H
-C service -h -d
-M
-Mf
-Mx
-Mfx
-M smtp
-M smtp/inet
-M slow/unix
-M */unix
-M dup
-M nope
-M nope smtp
-M smtp/foo
-M a/b/c
-M smtp/
-F
-Ff
-FH
-Fx
-F smtp
-F smtp/inet/command
-F */*/chroot
-F */unix/wakeup
-Fh smtp/inet/chroot
-F smtp/inet/bogus
-F nope
-F a/b/c/d
-P
-Pf
-Px
-Ph
-PH
-P submission/inet
-P */inet/syslog_name
-P smtp/inet/nope
-P */*/smtpd_banner
-Px smtp/inet
-P -o foo=3 -x
-P a/b/c/d
-l
-a
-A
-T bogus
"""
USAGE = """
-nd
-d -e
-dne
-M -F
-M -F -P
-e
-#
-X
-hH
-h -H -n
-Mh
-MH
-Mhd
-Z
-pM
-MeX
-eM
-eh foo=bar
-ex foo=bar
-en foo=bar
-ed foo=bar
-eMf x
-eX foo
-e# foo
-#X foo
-Xf foo
-Xx foo
-mn
-mfhn
-mH -x -f
-lh
-am
-bf
-b -t
-T
-T run-version -n
-C bogus
-C user;service
-o foo use_of_foo
-o foo=8 -d foo
-dM
-dP
-nM
-nF
-F# smtp/inet/chroot
-FX smtp/inet/chroot
-P# smtp/inet/a
-PX
-MX
-X a=b
-#X
-c /nonexistent -n
-c /nonexistent -M
-c /nonexistent -e a=b
"""
EDIT_MAIN: list[list[str]] = [
    ["relayhost="],
    ["-e", "relayhost=new"],
    ["relayhost=[a.example]:25"],
    ["myhostname=a", "myorigin = b c "],
    ["added=1"],
    ["-e", "foo=1", "foo=2"],
    ["mydestination=$myhostname, $mydomain"],
    [" mydestination =  a   b  "],
    ["-p", "foo=$x#y # z"],
    ["foo=é"],
    ["foo=a=b"],
    ["-C", "user", "foo=3"],
    ["bad name=x"],
    ["-e", "noequal"],
    ["=x"],
    ["x="],
    ["#x=1"],
    ["foo=1", "bar"],
    ["foo=a\nb"],
    ["foo=a\n b"],
    ["-#", "relayhost"],
    ["-#", "relayhost", "mydestination"],
    ["-#", "mynetworks", "nonexistent"],
    ["-#", "nonexistent"],
    ["-#", "# head"],
    ["-#", " foo "],
    ["-#", "foo", "bar=3"],
    ["-X", "relayhost"],
    ["-X", "mydestination", "foo", "myorigin"],
    ["-X", "nonexistent"],
    ["-X", ""],
    ["-X", "a b"],
    ["-X", "foo\nbar"],
    ["no=1", "myhostname=2"],
    ["soft_bounce=yes"],
    ["leading=y"],
]
EDIT_MASTER: list[list[str]] = [
    ["-Me", "smtp/inet=smtp inet n - n - - smtpd -o x=y -v"],
    ["-M", "smtp/inet=smtp2 inet n - n - - smtpd"],
    ["-Me", "new/unix=new unix - - n - - smtp", "new2/inet=new2   inet - - n - - smtpd   -o { a = b c }"],
    ["-Me", "slow/unix=slow unix - - n - 4 smtp"],
    ["-Me", "dup/unix=dup unix - - n - 4 pipe", "dup/unix=dup unix - - n - 5 pipe"],
    ["-Me", "*/inet=all inet - - n - - smtpd"],
    ["-Me", "bad/unix=bad unix - - "],
    ["-Me", "bad=bad unix - - n - - smtp"],
    ["-Me", "bad/foo=bad foo - - n - - smtp"],
    ["-Me", "bad/unix=bad unix x - n - - smtp"],
    ["-Me", "bad/unix=bad unix - - n x - smtp"],
    ["-Me", "bad/unix="],
    ["-Me", "bad/unix"],
    ["-M#", "slow/unix"],
    ["-M#", "slow"],
    ["-M#", "submission/inet", "smtp/inet"],
    ["-M#", "*/unix"],
    ["-M#", "dup/*"],
    ["-M#", "nope/unix"],
    ["-MX", "slow/unix"],
    ["-MX", "*/*"],
    ["-MX", "smtp/inet", "smtp/inet"],
    ["-MX", "nope/unix"],
    ["-MX", "nope"],
    ["-MX", "a/b/c"],
    ["-MX", "x.y:25/inet"],
    ["-MX", "smtp/inet=3"],
    ["-Fe", "smtp/inet/chroot=n"],
    ["-F", "smtp/inet/chroot=n", "submission/inet/process_limit=5"],
    ["-Fe", "smtp/inet/command=smtpd -v -o a=b"],
    ["-Fe", "submission/inet/command=smtpd"],
    ["-Fe", "smtp/inet/service=smtp2"],
    ["-Fe", "smtp/inet/chroot=maybe"],
    ["-Fe", "smtp/inet/bogus=n"],
    ["-Fe", "nope/inet/chroot=n"],
    ["-Fe", "*/unix/chroot=y"],
    ["-Fe", "*/*/private=-"],
    ["-Fe", "smtp/inet=x"],
    ["-Fe", "smtp/inet/type=foo"],
    ["-Fe", "smtp/inet/type=pass"],
    ["-Fe", "smtp/inet/wakeup=foo"],
    ["-Fe", "smtp/inet/wakeup=60?", "smtp/inet/unprivileged=y"],
    ["-Fe", "smtp/inet/*=y"],
    ["-Fe", "smtp/inet/service=a b"],
    ["-Fe", "smtp/inet/command=smtp -o { a = b c } -o d=e f g"],
    ["-Pe", "smtp/inet/a=b"],
    ["-Pe", "smtp/inet/a=b", "smtp/inet/e=", "smtp/inet/a=c"],
    ["-P", "submission/inet/syslog_name=x", "submission/inet/smtpd_client_restrictions=reject"],
    ["-Pe", "submission/inet/foo2 = y y "],
    ["-Pe", "submission/inet/foo2 = y"],
    ["-Pe", "slow/unix/a=zz"],
    ["-Pe", "*/unix/a=zz"],
    ["-Pe", "*/*/smtpd_banner=x"],
    ["-Pe", "nope/unix/a=zz"],
    ["-Pe", "maildrop/unix/a=zz"],
    ["-Pe", "dup/unix/a=zz"],
    ["-Pe", "lmtp-x/unix/u=w"],
    ["-Pe", "smtp/inet=zz"],
    ["-Pe", "smtp/inet/a={b}"],
    ["-Pe", "smtp/inet/a={b c}"],
    ["-Pe", "smtp/inet/*=x"],
    ["-Pe", "smtp/inet/a"],
    ["-Pe", "smtp/inet/a=x\n y"],
    ["-PX", "submission/inet/syslog_name"],
    ["-PX", "submission/inet/smtpd_client_restrictions", "submission/inet/foo2"],
    ["-PX", "submission/inet/nope"],
    ["-PX", "submission/inet/*"],
    ["-PX", "nope/inet/x"],
    ["-PX", "*/*/a"],
    ["-PX", "smtp/inet"],
]


def generated(seed: int) -> tuple[str, str]:
    """A folder made by chance: comments, blank lines, continuations, duplicates and braces in any mixture."""
    pick = random.Random(seed)
    names = ["myorigin", "relayhost", "mydestination", "foo", "bar", "mynetworks", "smtpd_banner", "unknown_x"]
    words = [
        "a.example",
        "$foo",
        "$myhostname",
        "${bar?x}",
        "10.0.0.0/8",
        "x" * 30,
        "hash:/etc/m",
        "y" * 70,
        "{ a, b }",
    ]
    blank = ["", "# note", "   # indented note", "  ", "\t# x = y"]
    main: list[str] = []
    for _ in range(pick.randrange(1, 14)):
        main += pick.choices(blank, k=pick.randrange(3))
        values = pick.choices(words, k=pick.randrange(6))
        main.append(f"{pick.choice(names)}{pick.choice(['=', ' = ', ' =', chr(9) + '= '])}{' '.join(values)}")
        for _ in range(pick.choice([0, 0, 0, 1, 3])):
            main += pick.choices(blank, k=pick.randrange(2))
            main.append(pick.choice(["  ", "\t", " "]) + " ".join(pick.choices(words, k=pick.randrange(1, 3))))
    services = ["smtp", "submission", "relay", "[::1]:587", "x-y"]
    options = [
        "-v",
        "-o a=b",
        "-o { foo = c,  d }",
        "-o {bar=$foo}",
        "-o smtpd_banner=" + "z" * 40,
        "-o myorigin=$bar",
    ]
    arguments = ["flags=R", "user=x", "argv=/bin/" + "w" * 25, "${sender}", "{a  b}", "-d", "{x}"]
    master: list[str] = []
    pairs = [(name, kind) for name in services for kind in ("inet", "unix", "pass")]
    for name, kind in pick.sample(pairs, pick.randrange(1, 7)):
        master += pick.choices(blank, k=pick.randrange(3))
        columns = [name, kind, *pick.choices("yn-", k=3)]
        columns += [pick.choice(["-", "60", "1?"]), pick.choice(["-", "5"]), pick.choice(["smtp", "smtpd", "pipe"])]
        master.append(pick.choice([" ", "   ", "\t"]).join(columns))
        for word in pick.choices(options, k=pick.randrange(4)):
            master += pick.choices(blank, k=pick.randrange(2))
            master.append(pick.choice(["  ", "\t"]) + word)
        if columns[-1] == "pipe":
            master.append(" ".join(["  ", "argv0", *pick.choices(arguments, k=pick.randrange(9))]))
    return "\n".join(main) + "\n", "\n".join(master) + "\n"


GENERATED_LINES: list[list[str]] = [
    ["-n"], ["-nf"], ["-nxf"], ["-C", "user"], ["-M"], ["-Mf"], ["-Mfx"], ["-Ff"], ["-P"], ["-Pfx"],
    ["relayhost=1"], ["-#", "foo", "myorigin"], ["-X", "bar", "mydestination"],
    ["-Me", "smtp/inet=smtp inet n - n - - smtpd"], ["-M#", "*/unix"], ["-MX", "smtp/inet"],
    ["-Fe", "*/inet/chroot=n"], ["-Pe", "*/unix/foo=new"], ["-PX", "*/*/foo"],
]  # fmt: skip


def meant(seed: int) -> tuple[str, str]:
    """A folder made by chance whose values refer to each other: expressions, classes, tables, parameters of services."""
    pick = random.Random(seed)
    main = []
    for _ in range(pick.randint(2, 8)):
        main.append(f"{pick.choice(MEANT_NAMES)} = {pick.choice(MEANT_VALUES)}")
        main += pick.choice([[], [], ["# c"], [""]])
    master = []
    for service in pick.sample(MEANT_SERVICES, pick.randint(1, 4)):
        master.append(service)
        master += ["  " + pick.choice(MEANT_OPTIONS) for _ in range(pick.randint(0, 3))]
    return "\n".join(main) + "\n", "\n".join(master) + "\n"


MEANT_NAMES = [
    "myhostname", "mydomain", "mydestination", "relayhost", "foo", "bar", "baz_qux", "mynetworks",
    "virtual_alias_maps", "smtpd_recipient_restrictions", "smtpd_restriction_classes", "cls",
    "x_destination_concurrency_limit", "slow_destination_recipient_limit", "alias_maps",
    "mail_spool_directory", "a_b", "x_time_limit", "ld1_server_host", "ld1_bogus", "myorigin",
    "smtpd_sender_restrictions", "smtp_sasl_password_maps", "smtpd_client_event_limit_exceptions",
    "relay_destination_rate_delay", "default_transport", "transport_maps",
]  # fmt: skip
MEANT_VALUES = [
    "a.example", "$mydomain", "${foo?x}", "${foo:y}", "${foo?{p}:{q}}", "${bar?{p}:{q}}", "${{$foo} == {a} ? {t} : {f}}",
    "${{$compatibility_level} <level {3.6} ? {old} : {new}}", "$nosuch, b", "hash:/etc/aliases",
    "hash:$foo/x, regexp:/y", "ldap:ld1", "$foo$bar", "$$x", "", "a,\n  b", "a\n# note\n  c", "  sp  ", "cls, reject",
    "permit_mynetworks, cls", "mysql:/etc/m.cf", "{ a b }, c", "$(foo)", "${myhostname}", "3.6",
    "check_client_access hash:/z", "proxy:unix:passwd.byname", "static:$bar", "a_b, cls", "a_b", "${cls}, $a_b", "0",
    "yes", "60s", "relay:[x.example]", "proxy:ldap:ld1", "x" * 75 + " y", "check_sender_access { ldap:ld1, search_order = a }",
    "inline:{ { a = b }, c=d }", "${foo", "$", "${}", "a = b # c",
]  # fmt: skip
MEANT_SERVICES = [
    "smtp inet n - n - - smtpd", "relay unix - - n - - smtp", "x unix - n n - 5 pipe flags=R user=u argv=/bin/x $sender",
    "10025 inet n - - - - smtpd", "local unix - n n - - local", "cleanup unix n - n - 0 cleanup",
    "a-b unix - n n - - spawn user=u argv=/bin/p",
]  # fmt: skip
MEANT_OPTIONS = [
    "-o foo=1", "-o bar=$foo", "-o { baz_qux = a b }", "-o smtpd_recipient_restrictions=cls", "-o nope=$nosuch2",
    "-o myhostname=", "-v", "-o smtpd_restriction_classes=a_b", "-o virtual_alias_maps=ldap:ld1", "-o a_b=reject",
]  # fmt: skip
MEANT_LINES: list[list[str]] = [
    ["-n"], ["-nx"], ["-nf"], ["-C", "user"], ["-C", "service"], ["-P"], ["-Px"], ["-Mf"], ["-Fx"], ["-M", "*/inet"],
    ["-xh", "foo", "smtpd_recipient_restrictions", "x_destination_concurrency_limit", "x_time_limit", "a_b"],
    ["-x", "-o", "foo=a", "bar", "cls", "mynetworks", "relay_destination_rate_delay"],
    ["-x", "-o", "inet_interfaces=loopback-only", "mynetworks"], ["-x", "-o", "inet_interfaces=127.0.0.1", "mynetworks"],
    ["-xo", "inet_protocols=ipv6", "-o", "mynetworks_style=subnet", "mynetworks"],
    ["-xo", "inet_protocols=ipv4", "-o", "mynetworks_style=class", "mynetworks"], ["-e", "cls = permit"],
    ["-X", "foo", "smtpd_restriction_classes"], ["-#", "alias_maps"], ["-Pe", "*/inet/bar=q", "*/unix/foo={ a b }"],
]  # fmt: skip
