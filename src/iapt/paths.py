"""Where things are in the repository."""

import errno
import os
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]
NOTEBOOKS, REPORTS, RESULTS = ROOT / "notebooks", ROOT / "reports", ROOT / "results"


def data_folder() -> Path:
    """Where the tables are: `data/` of the repository, or the folder that the variable IAPT_DATA names."""
    return Path(os.environ.get("IAPT_DATA") or ROOT / "data").resolve()


def read_file(path: Path) -> bytes:
    """The content of a file. Raises OSError also for a pipe or a device, whose end might never come."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file", str(path))
    return path.read_bytes()
