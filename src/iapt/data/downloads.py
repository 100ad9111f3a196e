"""Publications fetched from NHS England into a cache outside the repository, where they stay as they came."""

import difflib
import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pandas as pd
import pooch
import requests
from urllib3.exceptions import NewConnectionError

from iapt import data
from iapt.data.publications import LIMIT, Publication, Refusal, read
from iapt.data.tables import find_unread

RETRIES = 3
PATIENCE = (10, 60)
"""Seconds without a connection, and without a byte, after which a try has failed."""

TOGETHER = 1800
"""Seconds that all downloads of a call may take together, whatever the servers do."""

CHUNK = 1 << 14
"""Bytes written at a time; of a download that breaks off at most so many are lost."""

HEADERS = {"User-Agent": "iapt", "Accept-Encoding": "identity"}


class _Hopeless(Exception):
    """A download that trying again cannot mend."""


class _Late(Exception):
    """Downloads that take too long together."""


def cache() -> Path:
    """Where downloads are kept: the folder for caches of the user, or the one that the variable IAPT_CACHE names."""
    return Path(os.environ.get("IAPT_CACHE") or pooch.os_cache("iapt"))


def choose(wanted: list[str]) -> pd.DataFrame:
    """The lines of the table of publications for these periods; where none is named, for those without any figure.

    Raises ValueError for a period that is not listed.
    """
    table = data.load()["publications"]
    for period in wanted:
        if period not in set(table["period"]):
            near = ", ".join(difflib.get_close_matches(period, table["period"], 2)) or table["period"].iloc[-1]
            raise ValueError(
                f"there is no address for {period!r} in data/publications.csv (near it: {near}); add a line with "
                "the address from the publication page"
            )
    return table[table["period"].isin(wanted)] if wanted else find_unread()


def fetch(rows: pd.DataFrame) -> Iterator[tuple[str, Publication]]:
    """Download and read publications, each with its address; those in the cache are not downloaded again.

    Raises Refusal where a download fails for good, is not the file with the SHA-256 written down, or is not the
    publication of its period; such a file is not kept. Also where all of them take too long together.
    """
    pooch.get_logger().setLevel("WARNING")
    with _within(TOGETHER):
        paths = [download(row.address, row.sha256 or None) for row in rows.itertuples()]
    for row, path in zip(rows.itertuples(), paths):
        try:
            publication = read(path)
            if (publication.frequency, publication.period) != (row.frequency, row.period):
                raise Refusal(row.address, f"the publication of {row.period}", f"the one of {publication.period}")
        except Refusal:
            path.unlink()
            raise
        yield row.address, publication


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Stop what takes longer, even a server that sends a byte now and then."""

    def stop(*_: object) -> None:
        raise _Late

    if not hasattr(signal, "setitimer"):  # Windows; each try still has its own limit
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Late:
        late = "not all of them; those that came stay in the cache, so try again"
        raise Refusal("the downloads", f"all files within {seconds:g} seconds", late) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def download(address: str, sha256: str | None) -> Path:
    """The file at an address, in the cache, under its host, path and query.

    Raises Refusal where it cannot be had, or has another SHA-256 than the one given.
    """
    parts = urlsplit(address)
    query = f"?{parts.query}".replace("/", "%2F") if parts.query else ""
    name = f"{parts.netloc.rpartition('@')[2]}{unquote(parts.path)}{query}"
    if ".." in name.split("/"):
        raise Refusal(address, "an address without ..", name)
    store = pooch.create(cache(), base_url="", registry={name: sha256}, urls={name: address}, retry_if_failed=RETRIES)
    transfer = _Transfer(cache() / f"{name}.part")
    try:
        return Path(store.fetch(name, downloader=transfer))
    except _Hopeless as error:
        raise Refusal(address, "the publication", str(error)) from None
    except requests.exceptions.RequestException as error:
        raise Refusal(address, f"the publication in {RETRIES + 1} tries", f"{type(error).__name__}: {error}") from None
    except ValueError as error:
        expected = f"the file with the SHA-256 {sha256} in data/publications.csv"
        raise Refusal(address, expected, f"another: {error}") from None
    except OSError as error:
        advice = f"{error.strerror or error}; the variable IAPT_CACHE chooses another folder"
        raise Refusal(str(cache()), "a folder with room for downloads", advice) from None
    finally:
        with suppress(OSError):
            transfer.partial.unlink()


class _Session(requests.Session):
    """Follows no redirect from the internet to this machine or the network that it is in."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target and not _is_private(response.url) and _is_private(urljoin(response.url, target)):
            raise _Hopeless(f"a redirect to {target}, an address that is not public")
        return target


def _is_private(address: str) -> bool:
    try:
        found = socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, UnicodeError):
        return False  # cannot be reached either
    addresses = [ipaddress.ip_address(info[4][0].partition("%")[0]) for info in found]
    return any(not (getattr(one, "ipv4_mapped", None) or one).is_global for one in addresses)


def _ask(address: str, headers: dict[str, str]) -> requests.Response:
    try:
        return _Session().get(address, headers=headers, stream=True, timeout=PATIENCE)
    except requests.ConnectionError as error:
        cause = getattr(error.args[0], "reason", None) if error.args else None
        hopeless = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)
        if hopeless or isinstance(cause, NewConnectionError):
            raise _Hopeless(f"no connection to {urlsplit(address).netloc}; is there a network?") from None
        raise


class _Transfer:
    """One download as pooch asks for it, try after try; a try goes on where the last broke off, if the server can."""

    def __init__(self, partial: Path) -> None:
        self.partial, self.version = partial, None

    def __call__(self, url: str, output_file: str, _: pooch.Pooch) -> None:
        done = self.partial.stat().st_size if self.partial.exists() and self.version else 0
        resume = {"Range": f"bytes={done}-", "If-Range": self.version} if done else {}
        with _ask(url, HEADERS | resume) as response:
            if 400 <= response.status_code < 500 and response.status_code not in (408, 416, 429):
                raise _Hopeless(f"status {response.status_code} {response.reason}")
            response.raise_for_status()
            done = done if response.status_code == 206 else 0
            resumable = done or response.headers.get("Accept-Ranges") == "bytes"
            self.version = response.headers.get("ETag") if resumable else None
            with self.partial.open("ab" if done else "wb") as handle:
                for chunk in response.iter_content(CHUNK):
                    done += len(chunk)
                    if done > LIMIT:
                        raise _Hopeless(f"more than {LIMIT:,} bytes")
                    handle.write(chunk)
                    self._show(done, end="\r")
        self._show(done, end="\n")
        shutil.move(self.partial, output_file)

    def _show(self, done: int, end: str) -> None:
        if sys.stderr.isatty():
            print(f"{self.partial.stem}: {done / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)
