"""Makes the fixture `browser` known to the tests of this folder."""

from browsing import browser

__all__ = ["browser"]
