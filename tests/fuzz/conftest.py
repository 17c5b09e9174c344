"""How many inputs a reader gets: some dozens in the suite, 50,000 with `make fuzz`."""

from hypothesis import HealthCheck, settings

_COMMON = {
    "database": None,
    "deadline": None,  # a reader's own time counts, not that of a busy machine
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("short", max_examples=20, derandomize=True, **_COMMON)
settings.register_profile("long", max_examples=50_000, **_COMMON)
settings.load_profile("short")
