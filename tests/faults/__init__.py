"""The fault campaign: every operation, while what it depends on breaks (`nox -s faults`)."""
