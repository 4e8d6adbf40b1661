"""The files that cases transfer, by size, after the runner's."""

SMALL = {"1k": 1024}
MIXED = {"5k": 5 * 1024, "10k": 10 * 1024, "empty": 0, "one": 1}
BULK = {"2m": 2 << 20, "3m": 3 << 20, "5m": 5 << 20}
LARGE = {"3m": 3 << 20}
# Takes long enough that something can happen meanwhile.
HUGE = {"30m": 30 << 20}
MANY = {f"file{number:03}": 32 for number in range(400)}
