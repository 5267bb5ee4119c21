"""Large messages: bounded memory, nothing lost, doubled or left behind when processes die, whatever becomes of them."""

from __future__ import annotations

import hashlib
import os
import pwd
import signal
import smtplib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faults.test_processes import Client, until
from support.large import body
from support.server import Server
from support.sink import Received, Sink

MEGABYTE = 1 << 20
BOUND = 250
"""MiB that no process may take: fifty messages of 10 MiB would be five hundred, held once each."""
FAR = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}


class Digests(Sink):
    """Keeps of each message its header and the digest of its body."""

    def _keep(self, message: Received) -> None:
        super()._keep(replace(message, content=digested(message.content, b"\r\n")))


def digested(content: bytes, end: bytes = b"\n") -> bytes:
    head, _, rest = content.partition(end + end)
    return head + b" " + hashlib.sha256(rest.replace(b"\r\n", b"\n")).hexdigest().encode()


def lines_of(number: int, size: int) -> bytes:
    """Long lines, for they are quick to check; dots at the beginning of some."""
    line = b".%05d %05d " + b"x" * 880 + b"\n"
    return b"".join(line % (number, at) for at in range(size // 893))


def send(server: Server, number: int, content: bytes, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=180) as client:
        head = b"Subject: %d\r\n\r\n" % number
        client.sendmail("a@elsewhere.example", recipients, head + content.replace(b"\n", b"\r\n"))


def contents(server: Server) -> list[Path]:
    return list((server.queue_directory / "tayori" / "queue" / "content").iterdir())


def in_queue(server: Server) -> str:
    return server.command("mailq", "-C", str(server.conf)).stdout


def peak(pid: int) -> int:
    """MiB, the most that the process had at any time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
def sink() -> Iterator[Digests]:
    with Digests() as found:
        yield found


def far(sink: Sink, **more: str) -> dict[str, str]:
    return {**FAR, "relayhost": f"[127.0.0.1]:{sink.port}", "smtpd_client_connection_count_limit": "0", **more}


def test_fifty_sessions_of_ten_megabytes(tmp_path: Path, sink: Digests) -> None:
    count = 50
    with Server(tmp_path, far(sink, smtp_destination_concurrency_limit="50")) as server:
        wanted = {}
        gate = threading.Barrier(count)

        def one(number: int) -> None:
            content = lines_of(number, 9_900_000)
            wanted[number] = hashlib.sha256(content).hexdigest()
            gate.wait()
            send(server, number, content, "taro@example.com", "far@elsewhere.example")

        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        files = server.wait_mail("taro", count, 120)
        messages = sink.wait(count, 120)
        until("all is settled", lambda: not contents(server), 30)
        found = [digested(path.read_bytes()) for path in files]
        for heads in (found, [message.content for message in messages]):
            got = {int(head.partition(b"Subject: ")[2].split()[0]): head.split()[-1].decode() for head in heads}
            assert got == wanted
        peaks = {pid: peak(pid) for pid in server.children()}
        assert len(peaks) >= 2 and max(peaks.values()) < BOUND, peaks
        assert "Traceback" not in server.log()


def test_the_worker_dies_in_the_middle_of_data(tmp_path: Path) -> None:
    """Its half a file goes without a restart of the server; what another worker is writing stays."""
    with Server(tmp_path, {"tayori_workers": "2", "smtpd_client_connection_count_limit": "0"}) as server:
        owners: dict[int, list[Client]] = {}
        until("a session in each worker", lambda: _begin(server, owners), 30)
        assert len(contents(server)) == sum(map(len, owners.values()))
        victim, survivor = list(owners)
        os.kill(victim, signal.SIGKILL)
        until("half a message is left", lambda: len(contents(server)) == len(owners[survivor]))
        server.wait_log("content files without a message were removed")
        for client in owners[survivor]:
            assert client.ask("last\r\n.").startswith("250")
        [*files] = server.wait_mail("taro", len(owners[survivor]))
        assert all(path.read_bytes().endswith(b"00000\nlast\n") for path in files)
        until("all is settled", lambda: not contents(server))


def _begin(server: Server, owners: dict[int, list[Client]]) -> bool:
    """One more session in the middle of a large message; whether both workers have one."""
    before = set(contents(server))
    client = Client(server).data()
    client.sock.sendall((b"0" * 70 + b"\r\n") * 20_000)
    until("its file is there", lambda: set(contents(server)) - before)
    [path] = set(contents(server)) - before
    until("it is whole", lambda: path.stat().st_size > MEGABYTE)
    owner = next(pid for pid in server.children("worker") if _has_open(pid, path))
    owners.setdefault(owner, []).append(client)
    return len(owners) == 2


def _has_open(pid: int, path: Path) -> bool:
    return any(os.readlink(fd) == str(path) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())


def test_a_stop_in_the_middle_of_data_leaves_nothing(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        client = Client(server).data()
        client.sock.sendall((b"0" * 70 + b"\r\n") * 20_000)
        until("its file is there", lambda: contents(server))
        assert server.stop() == 0
        assert client.rest().startswith("421 4.3.2")
        server.start()
        assert contents(server) == [] and server.mailbox("taro") == []


def test_a_client_that_hangs_up_or_is_refused_leaves_nothing(tmp_path: Path) -> None:
    settings = {"message_size_limit": "3000000", "header_checks": "pcre:{ {/^X-Bad/ REJECT no} {/^X-Gone/ DISCARD} }"}
    with Server(tmp_path, settings) as server:
        client = Client(server).data()
        client.sock.sendall((b"0" * 70 + b"\r\n") * 20_000)
        until("its file is there", lambda: contents(server))
        client.sock.close()
        client.file.close()
        until("it goes", lambda: not contents(server))
        for head, code in (("X-Bad: x", "550 5.7.1"), ("X-Gone: x", "250 2.0.0"), ("X-Long: y", "552 5.3.4")):
            size = 60_000 if "Long" in head else 8_000
            text = f"{head}\r\n\r\n" + ("0" * 70 + "\r\n") * size
            assert server.send("a@b.example", "taro@example.com", text).startswith(code)
            until("nothing is left", lambda: not contents(server))
        assert server.mailbox("taro") == []


def test_a_content_file_that_is_lost_is_reported_and_its_message_stays(tmp_path: Path, sink: Digests) -> None:
    sink.answers["MAIL"] = "451 4.3.0 not now"
    with Server(tmp_path, far(sink)) as server:
        send(server, 1, body(600_000), "far@elsewhere.example")
        server.wait_log("status=deferred")
        [path] = contents(server)
        path.rename(tmp_path / "kept")
        log = server.wait_log("its content is lost, the message stays in the queue")
        assert path.name in log
        assert "its content is lost: see the log" in in_queue(server)
        assert server.command("postcat", "-c", str(server.conf), path.name).returncode != 0
        server.stop()
        server.start()
        assert path.name in in_queue(server)
        sink.answers.clear()
        (tmp_path / "kept").rename(path)
        assert server.command("postqueue", "-c", str(server.conf), "-i", path.name).returncode == 0
        assert sink.wait(1, 20)[0].content.endswith(hashlib.sha256(body(600_000)).hexdigest().encode())
        until("all is settled", lambda: not contents(server))


def test_the_tools(tmp_path: Path, sink: Digests) -> None:
    """mailq's size, postcat, hold and release, requeue, delete, of a message that lies in a file."""
    sink.answers["MAIL"] = "451 4.3.0 not now"
    content = body(5 * MEGABYTE)
    with Server(tmp_path, far(sink)) as server:

        def tool(*words: str) -> str:
            done = server.command(words[0], "-c", str(server.conf), *words[1:])
            assert done.returncode == 0, done.stderr
            return done.stdout

        send(server, 1, content, "far@elsewhere.example")
        send(server, 2, content, "far@elsewhere.example")
        until("both wait", lambda: server.log().count("status=deferred") >= 2)
        first, second = sorted(contents(server))
        assert first.stat().st_mode & 0o777 == 0o600
        shown = tool("postcat", "-b", first.name)
        assert shown == "\n" + content.decode()
        assert "\nSubject: " in tool("postcat", "-h", first.name)
        whole = tool("postcat", first.name)
        size = len(tool("postcat", "-h", "-b", first.name))
        assert f"message_size: {size}\n" in whole and str(size) in in_queue(server)
        tool("postsuper", "-h", first.name)
        assert f"{first.name}!" in in_queue(server)
        tool("postsuper", "-d", second.name)
        assert second.name not in in_queue(server)
        until("an attempt under way ends", lambda: contents(server) == [first])
        sink.answers.clear()
        tool("postsuper", "-H", first.name)
        tool("postsuper", "-r", first.name)
        assert sink.wait(1, 20)[0].content.endswith(hashlib.sha256(content).hexdigest().encode())
        until("all is settled", lambda: not contents(server))


def test_forwarded_returned_and_piped(tmp_path: Path, sink: Digests) -> None:
    """An alias sends it on, a refusal sends it back whole, a command reads it: copies of their own, and none left."""
    root = os.geteuid() == 0
    user = "nobody" if root else pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    content = body(MEGABYTE)
    master = (
        "127.0.0.1:{port} inet n - n - - smtpd\n"
        f"reader unix - n n - - pipe flags=R user={user} directory=/ argv=/bin/sh -c {{cat >{tmp_path}/out/got}}\n"
    )
    settings = far(
        sink, alias_maps="inline:{ away=far@elsewhere.example }", transport_maps="inline:{ piped.example=reader: }",
        relay_domains="piped.example", bounce_size_limit="9000000", local_recipient_maps="",
    )  # fmt: skip
    with Server(tmp_path, settings, master) as server:
        digest = hashlib.sha256(content).hexdigest().encode()
        send(server, 1, content, "away@example.com")
        [forwarded] = sink.wait(1, 20)
        assert forwarded.content.endswith(digest) and b"Delivered-To: away@example.com" in forwarded.content
        send(server, 2, content, "x@piped.example")
        server.wait_log("delivered via reader service")
        got = (tmp_path / "out" / "got").read_bytes()
        assert got.startswith(b"Return-Path: <a@elsewhere.example>\n") and got.endswith(b"\n\n" + content)
        sink.answers["RCPT"] = lambda line: "550 5.1.1 no" if "unknown" in line else None
        with smtplib.SMTP("127.0.0.1", server.port, timeout=60) as client:
            text = b"Subject: 3\r\n\r\n" + content.replace(b"\n", b"\r\n")
            client.sendmail("taro@example.com", ["unknown@elsewhere.example"], text)
        [path] = server.wait_mail("taro", 1, 20)
        report = path.read_bytes()
        assert b"Content-Type: message/rfc822\n" in report and b"\n\n" + content + b"\n--" in report
        until("all is settled", lambda: not contents(server))
        assert "Traceback" not in server.log()


def test_sendmail_with_the_server_up_and_down(tmp_path: Path) -> None:
    """Handed in through the socket, or left in the maildrop until the server comes: in pieces both ways."""
    text = body(5 * MEGABYTE)[:-1].decode()  # its last line has no end
    limited = {"message_size_limit": "6000000", "mailbox_size_limit": "0"}
    with Server(tmp_path, limited) as server:

        def sendmail(content: str) -> int:
            words = ("sendmail", "-C", str(server.conf), "taro@example.com")
            return server.command(*words, stdin=f"Subject: handed in\n\n{content}").returncode

        assert sendmail(text) == 0
        server.wait_mail("taro", 1)
        assert sendmail(text + text) != 0, "above message_size_limit"
        assert sendmail("small") == 0
        server.wait_mail("taro", 2)
        server.stop()
        assert sendmail(text) == 0
        server.start()
        files = server.wait_mail("taro", 3)
        bodies = [path.read_text().partition("\n\n")[2] for path in files]
        assert sorted(map(len, bodies)) == sorted((6, len(text) + 1, len(text) + 1))
        assert bodies.count(text + "\n") == 2
        until("all is settled", lambda: not contents(server))
        assert not list((server.queue_directory / "tayori" / "maildrop").iterdir())
