"""Print the median time of a pooled forecast: 31 quarters observed, 17 ahead, one thread.

Run as `OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/bench/bench_forecast.py`.
"""

import platform
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd

from iapt.models.forecast import POOL, REFERENCES, forecast


def make_quarters() -> pd.Series:
    """31 quarters of steady growth with noise and a season."""
    rng = np.random.default_rng(1)
    z = 12 + np.cumsum(0.02 + 0.03 * rng.standard_normal(31))
    z += np.resize([0.0, 0.1, -0.07, -0.03], 31)
    return pd.Series(np.exp(z), pd.period_range("2012Q2", periods=31, freq="Q"))


def time_forecast(members: tuple[str, ...], draws: int, repeats: int = 31) -> float:
    """Median milliseconds of one forecast, its median and 80% interval not included."""
    y, times = make_quarters(), []
    for _ in range(repeats):
        start = perf_counter()
        forecast(y, 17, members=members, draws=draws)
        times.append(perf_counter() - start)
    return 1000 * median(times)


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    forecast(make_quarters(), 17, members=POOL + REFERENCES, draws=10)
    for label, members in {"pool": POOL, "pool and references": POOL + REFERENCES}.items():
        for draws in (1000, 5000):
            print(f"{label}, {draws:,} draws a member: {time_forecast(members, draws):.1f} ms")
    for name in POOL + REFERENCES:
        print(f"{name} alone, 5,000 draws: {time_forecast((name,), 5000):.1f} ms")
