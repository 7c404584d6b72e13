"""What the broker tests share; the broker itself is in tests/conftest.py."""
