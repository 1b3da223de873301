"""What the tests are held by: rows of the conformance catalogue, and nothing left behind."""

from .rows import row as row

__all__ = ["row"]
