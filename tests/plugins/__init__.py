"""What the test run does beside running tests; loaded by `tests/conftest.py`."""
