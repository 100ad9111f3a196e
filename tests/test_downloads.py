"""Publications are fetched from a server that fails in the usual ways."""

import csv
import hashlib
import http.server
import re
import threading
import time
import types

import pooch.core
import pytest
from publishing import NEXT, change, copy_data, digest, figures

from iapt import cli, data
from iapt.data import downloads, writing
from iapt.data.publications import Refusal

MONTH = NEXT
SOUND = change(month=MONTH)
KEPT = len(SOUND) // 2 // downloads.CHUNK * downloads.CHUNK
"""What of the first half of the file is kept when the server breaks off after it."""
SHA = hashlib.sha256(SOUND).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers one request after another as `answers` says, the last of them for ever; `requests` holds what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = [ok], []
        self.address = f"http://127.0.0.1:{self.server_port}/AB/C123/month%20v2.csv"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_) -> None:
        """Clients that hang up are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers, requests = self.server.answers, self.server.requests
        requests.append((self.path, self.headers.get("Range")))
        answers[min(len(requests), len(answers)) - 1](self)

    def reply(self, status: int, content: bytes, *, stated: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if stated is None else stated))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


def ok(request: Handler) -> None:
    request.reply(200, SOUND)


def missing(request: Handler) -> None:
    request.reply(404, b"<html>not here</html>")


def broken(request: Handler) -> None:
    request.reply(500, b"")


def web_page(request: Handler) -> None:
    request.reply(200, b"<html>Sorry</html>")


def half(request: Handler) -> None:
    request.reply(200, SOUND[: len(SOUND) // 2], stated=len(SOUND))


def half_with_rest_on_offer(request: Handler) -> None:
    request.reply(200, SOUND[: len(SOUND) // 2], stated=len(SOUND), Accept_Ranges="bytes", ETag='"1"')


def rest(request: Handler) -> None:
    start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
    assert request.headers["If-Range"] == '"1"'
    request.reply(206, SOUND[start:], Content_Range=f"bytes {start}-{len(SOUND) - 1}/{len(SOUND)}")


def slow(request: Handler) -> None:
    time.sleep(0.5)
    request.reply(200, SOUND)


def earlier_month(request: Handler) -> None:
    request.reply(200, change(month="2025-07"))


def drip(request: Handler) -> None:
    """A byte now and then, for ever."""
    request.reply(200, b"", stated=len(SOUND))
    while True:
        request.wfile.write(b"x")
        time.sleep(0.02)


def silent(request: Handler) -> None:
    time.sleep(60)


def redirect(request: Handler) -> None:
    request.reply(302, b"", Location="/elsewhere.csv")


@pytest.fixture
def server():
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def held(tmp_path, monkeypatch, server):
    """A copy of the data whose one listed publication is on the server."""
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("IAPT_CACHE", str(tmp_path / "cache"))
    folder = copy_data(tmp_path, monkeypatch)
    list_publication(folder, server.address)
    return folder


@pytest.fixture
def public(monkeypatch):
    """As if the server were on the internet; an address with `elsewhere` is on this machine."""
    monkeypatch.setattr(downloads, "_is_private", lambda address: "elsewhere" in address)


def list_publication(folder, address: str, sha256: str = "", period: str = MONTH) -> None:
    (folder / "publications.csv").write_text(f"frequency,period,address,sha256\nmonth,{period},{address},{sha256}\n")
    data.forget()


def cached(tmp_path) -> list:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_is_listed_is_fetched_added_and_its_digest_written_down(held, tmp_path, server, capsys):
    assert cli.main(["fetch"]) == 0
    assert re.search(r"[1-9]\d+ new, 0 revised", capsys.readouterr().out)
    assert len(figures(held, period=MONTH, source=f"nhs-monthly-{MONTH}")) > 11
    (original,) = cached(tmp_path)
    assert original.read_bytes() == SOUND and original.relative_to(tmp_path / "cache").parts == (
        f"127.0.0.1:{server.server_port}",
        "AB",
        "C123",
        "month v2.csv",
    )
    assert next(csv.DictReader((held / "publications.csv").open()))["sha256"] == SHA
    assert server.address in {card["url"] for card in csv.DictReader((held / "sources.csv").open())}
    assert cli.main(["fetch"]) == 0 and cli.main(["fetch", MONTH]) == 0
    assert len(server.requests) == 1


def test_a_dry_run_fetches_and_writes_nothing_to_the_data(held, tmp_path):
    before = digest(held)
    assert cli.main(["fetch", "--dry-run"]) == 0
    assert digest(held) == before and len(cached(tmp_path)) == 1


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([broken, broken, ok], [None] * 3),
        ([half, ok], [None] * 2),
        ([half_with_rest_on_offer, rest], [None, f"bytes={KEPT}-"]),
        ([half_with_rest_on_offer, ok], [None, f"bytes={KEPT}-"]),
        ([slow, ok], [None] * 2),
    ],
    ids=["500 then fine", "cut off", "cut off, resumed", "cut off, resumption refused", "slow then fine"],
)
def test_a_failing_server_is_tried_again(held, tmp_path, server, monkeypatch, answers, requests):
    if slow in answers:
        monkeypatch.setattr(downloads, "PATIENCE", 0.25)
    server.answers = answers
    path = downloads.download(server.address, SHA)
    assert path.read_bytes() == SOUND and cached(tmp_path) == [path]
    assert [asked for _, asked in server.requests] == requests


FAILURES = {
    "not found": ([missing], "", "expected the publication; found status 404 Not Found", 1),
    "broken for good": ([broken], "", "expected the publication in 4 tries; found HTTPError: 500", 4),
    "cut off for good": ([half], "", "expected the publication in 4 tries; found ChunkedEncodingError", 4),
    "slow for good": ([slow], "", "expected the publication in 4 tries; found ReadTimeout", 4),
    "a web page": ([web_page], "", "expected a CSV, a workbook .* found a web page", 1),
    "another month": ([earlier_month], "", "expected the publication of 2026-05; found the one of 2025-07", 1),
    "another digest": ([ok], "0" * 64, f"expected the file with the SHA-256 {'0' * 64}", 4),
    "too large": ([ok], "", "expected the publication; found more than 20,000 bytes", 1),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_and_neither_data_nor_cache_change(held, tmp_path, server, monkeypatch, capsys, kind):
    server.answers, sha256, message, tries = FAILURES[kind]
    if kind == "slow for good":
        monkeypatch.setattr(downloads, "PATIENCE", 0.1)
    if kind == "too large":
        monkeypatch.setattr(downloads, "LIMIT", 20_000)
    list_publication(held, server.address, sha256)
    before = digest(held)
    assert cli.main(["fetch"]) == 2
    shown = capsys.readouterr().err
    assert server.address in shown or "month v2.csv" in shown
    assert re.search(message, shown), shown
    assert digest(held) == before and cached(tmp_path) == [] and len(server.requests) == tries


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.csv", "https://files.digital.nhs.invalid/x.csv"])
def test_without_a_network_one_line_says_so_after_one_try(held, capsys, address):
    list_publication(held, address)
    assert cli.main(["fetch"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    host = address.split("/")[2]
    assert line.endswith(f"expected the publication; found no connection to {host}; is there a network?")


@pytest.mark.parametrize("answer", [drip, silent])
def test_a_server_that_drips_or_is_silent_is_left_within_one_time_limit(held, server, monkeypatch, capsys, answer):
    monkeypatch.setattr(downloads, "TOGETHER", 0.3)
    server.answers, before, began = [answer], digest(held), time.monotonic()
    assert cli.main(["fetch"]) == 2
    assert "the downloads: expected all files within 0.3 seconds; found not all of them" in capsys.readouterr().err
    assert time.monotonic() - began < 20 and digest(held) == before


def test_a_slow_server_holds_up_nobody_who_writes_to_the_data(held, server):
    free = []

    def take_lock(request: Handler) -> None:
        with writing.locked(held):
            free.append(True)
        ok(request)

    server.answers = [take_lock]
    assert cli.main(["fetch"]) == 0 and free == [True]


@pytest.mark.parametrize("kind", ["a file", "no permission"])
def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(held, tmp_path, monkeypatch, capsys, kind):
    blocked = tmp_path / "blocked"
    blocked.touch()
    if kind == "no permission":
        refuse = lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        monkeypatch.setattr(pooch.core, "make_local_storage", refuse)
    monkeypatch.setenv("IAPT_CACHE", str(blocked))
    assert cli.main(["fetch"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(blocked) in line and line.endswith("the variable IAPT_CACHE chooses another folder")


def test_a_redirect_from_the_internet_to_this_machine_is_not_followed(held, server, public, capsys):
    server.answers = [redirect, ok]
    assert cli.main(["fetch"]) == 2
    assert "found a redirect to /elsewhere.csv, an address that is not public" in capsys.readouterr().err
    assert [path for path, _ in server.requests] == ["/AB/C123/month%20v2.csv"]


def test_a_redirect_from_a_listed_address_on_this_machine_is_followed(held, server):
    server.answers = [redirect, ok]
    assert cli.main(["fetch"]) == 0
    assert server.requests[1][0] == "/elsewhere.csv"


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("http://127.0.0.1/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://[::ffff:10.0.0.1]/x", True),
        ("http://192.168.1.1/x", True),
        ("http://169.254.169.254/latest", True),
        ("https://193.84.0.1/x", False),
    ],
)
def test_addresses_that_are_not_public_are_known(address, private):
    assert downloads._is_private(address) == private


def test_the_cache_tells_addresses_apart_by_host_and_query(held, server):
    paths = {downloads.download(server.address + query, None) for query in ("", "?v=1", "?v=2", "?v=a/b")}
    paths.add(downloads.download(server.address.replace("127.0.0.1", "localhost"), None))
    assert len(paths) == len(server.requests) == 5


def test_a_cached_file_that_was_changed_is_fetched_again(held, server):
    path = downloads.download(server.address, SHA)
    path.write_bytes(b"changed")
    assert downloads.download(server.address, SHA).read_bytes() == SOUND
    assert len(server.requests) == 2


def test_an_address_cannot_lead_out_of_the_cache(held):
    with pytest.raises(Refusal, match="without .."):
        downloads.download("http://127.0.0.1/a/%2E%2E/%2E%2E/x.csv", None)


def test_a_period_without_address_is_told_with_what_to_do(held, capsys):
    assert cli.main(["fetch", "2026-06"]) == 2
    assert "no address for '2026-06' in data/publications.csv (near it: 2026-05); add a line" in capsys.readouterr().err


def test_the_committed_table_lists_every_month_from_january_2021_once():
    table = data.load()["publications"]
    months = table[table["frequency"] == "month"]["period"].tolist()
    assert months[0] == "2021-01" and months == sorted(set(months)) and len(months) >= 63
    assert (
        table["address"]
        .str.match(r"https://files\.digital\.nhs\.uk/[0-9A-F]{2}/[0-9A-F]{6}/[^/ ]+\.(csv|xlsx|zip|rar)$")
        .all()
    )
    assert set(downloads.choose([])["period"]) == {month for month in months if month > str(data.newest_month())}
