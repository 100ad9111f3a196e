"""Print the median processor time of a pooled forecast (27 quarters observed, 17 ahead) and of a nowcast, one thread.

Run as `OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/bench/bench_forecast.py`.
"""

import platform
from collections.abc import Callable
from statistics import median
from time import process_time

import numpy as np
import pandas as pd

from iapt.models.forecast import forecast
from iapt.models.members import POOL, REFERENCES
from iapt.models.nowcast import nowcast


def make_series(n: int, frequency: str, season: list[float]) -> pd.Series:
    """Steady growth with noise and a season."""
    rng = np.random.default_rng(1)
    z = 12 + np.cumsum(0.02 + 0.03 * rng.standard_normal(n)) + np.resize(season, n)
    return pd.Series(np.exp(z), pd.period_range("2012-04", periods=n, freq=frequency))


def time_of(call: Callable[[], object], repeats: int = 31) -> float:
    """Median milliseconds of a call."""
    times = []
    for _ in range(repeats):
        start = process_time()
        call()
        times.append(process_time() - start)
    return 1000 * median(times)


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    quarters = make_series(27, "Q-MAR", [0.0, 0.1, -0.07, -0.03])
    months = make_series(57, "M", [0.0, 0.05, -0.05])
    forecast(quarters, 17, beside=REFERENCES, draws=10)
    for label, beside in {"pool": (), "pool and references": REFERENCES}.items():
        for draws in (1000, 5000):
            spent = time_of(lambda: forecast(quarters, 17, beside=beside, draws=draws))
            print(f"{label}, {draws:,} draws a member: {spent:.1f} ms")
    for name in POOL + REFERENCES:
        print(f"{name} alone, 5,000 draws: {time_of(lambda: forecast(quarters, 17, members=(name,))):.1f} ms")
    print(f"running year, 9 of 12 months known, 5,000 draws a member: {time_of(lambda: nowcast(months)):.1f} ms")
