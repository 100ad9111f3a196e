"""Publications fetched from NHS England into a cache outside the repository, where they stay as they came."""

import difflib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pooch
import requests

from iapt import data
from iapt.data.publications import LIMIT, Publication, Refusal, read

RETRIES = 3
PATIENCE = 60
"""Seconds without a byte after which a try has failed."""

CHUNK = 1 << 14
"""Bytes written at a time; of a download that breaks off at most so many are lost."""

HEADERS = {"User-Agent": "iapt", "Accept-Encoding": "identity"}


class _Hopeless(Exception):
    """A download that trying again cannot mend."""


def cache() -> Path:
    """Where downloads are kept: the folder for caches of the user, or the one that the variable IAPT_CACHE names."""
    return Path(os.environ.get("IAPT_CACHE") or pooch.os_cache("iapt"))


def choose(wanted: list[str]) -> pd.DataFrame:
    """The lines of the table of publications for these periods; where none is named, for those without any figure.

    Raises ValueError for a period that is not listed.
    """
    table, figures = data.load()["publications"], data.load()["england"]
    for period in wanted:
        if period not in set(table["period"]):
            near = ", ".join(difflib.get_close_matches(period, table["period"], 2)) or table["period"].iloc[-1]
            raise ValueError(
                f"there is no address for {period!r} in data/publications.csv (near it: {near}); add a line with "
                "the address from the publication page"
            )
    held = set(zip(figures["frequency"], figures["period"]))
    lacking = [pair not in held for pair in zip(table["frequency"], table["period"])]
    return table[table["period"].isin(wanted) if wanted else lacking]


def fetch(rows: pd.DataFrame) -> Iterator[tuple[str, Publication]]:
    """Download and read publications, each with its address; those in the cache are not downloaded again.

    Raises Refusal where a download fails for good, is not the file with the SHA-256 written down, or is not the
    publication of its period; such a file is not kept.
    """
    pooch.get_logger().setLevel("WARNING")
    for row in rows.itertuples():
        path = download(row.address, row.sha256 or None)
        try:
            publication = read(path)
            if (publication.frequency, publication.period) != (row.frequency, row.period):
                raise Refusal(row.address, f"the publication of {row.period}", f"the one of {publication.period}")
        except Refusal:
            path.unlink()
            raise
        yield row.address, publication


def download(address: str, sha256: str | None) -> Path:
    """The file at an address, in the cache, under the path of its address.

    Raises Refusal where it cannot be had, or has another SHA-256 than the one given.
    """
    name = unquote(urlsplit(address).path).lstrip("/")
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
        raise Refusal(
            address, f"the file with the SHA-256 {sha256} in data/publications.csv", f"another: {error}"
        ) from None
    except OSError as error:
        raise Refusal(str(cache()), "room for the download", str(error.strerror)) from None
    finally:
        transfer.partial.unlink(missing_ok=True)


class _Transfer:
    """One download as pooch asks for it, try after try; a try goes on where the one before broke off, if the server can."""

    def __init__(self, partial: Path) -> None:
        self.partial, self.version = partial, None

    def __call__(self, url: str, output_file: str, _: pooch.Pooch) -> None:
        done = self.partial.stat().st_size if self.partial.exists() and self.version else 0
        resume = {"Range": f"bytes={done}-", "If-Range": self.version} if done else {}
        with requests.get(url, headers=HEADERS | resume, stream=True, timeout=PATIENCE) as response:
            if 400 <= response.status_code < 500 and response.status_code not in (408, 416, 429):
                raise _Hopeless(f"status {response.status_code} {response.reason}")
            response.raise_for_status()
            done = done if response.status_code == 206 else 0
            self.version = (
                response.headers.get("ETag") if response.headers.get("Accept-Ranges") == "bytes" or done else None
            )
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
