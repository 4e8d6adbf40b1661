"""Words for what was measured."""

import math
import statistics


def percentile(values: list[float], part: int) -> float:
    """The smallest value that `part` percent of all do not exceed."""
    return sorted(values)[math.ceil(len(values) * part / 100) - 1]


def spread(values: list[float]) -> str:
    """Median, 95th percentile and worst, in milliseconds."""
    if not values:
        return "-"
    return " / ".join(f"{value * 1000:.0f}" for value in (
        statistics.median(values), percentile(values, 95), max(values))) + " ms"
