"""What all unit tests share."""

from hypothesis import settings

# A time limit per example would make a slow machine fail a correct test.
settings.register_profile("manyheads", deadline=None)
settings.load_profile("manyheads")
