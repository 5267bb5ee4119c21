"""The harness other scenarios stand on."""

from __future__ import annotations

from pathlib import Path

from support.server import Server


def test_serves_delivers_and_stops(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        replies = server.talk(["EHLO x", "QUIT"])
        assert replies[0].startswith("220 mail.example.com") and "250-PIPELINING" in replies[1]
        assert server.send("a@client.example", "taro@example.com").startswith("250 2.0.0 Ok: queued as")
        (path,) = server.wait_mail("taro")
        assert path.stat().st_uid == server.uids["taro"]
        assert b"Delivered-To: taro@example.com" in path.read_bytes()
        assert sorted(set(server.children().values())) == ["local", "pipe", "worker"]
        assert "status=sent" in server.wait_log("status=sent")
        assert server.stop() == 0


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path, {"tayori_workers": "1"}) as server:
        dead = server.kill("worker")
        server.wait_log(f"worker process {dead} ended")
        assert server.send("a@client.example", "hanako@example.com").startswith("250")
        server.wait_mail("hanako")
