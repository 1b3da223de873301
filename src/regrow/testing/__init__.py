"""What regrow's users test their services with, and regrow itself."""

from .clock import ManualClock as ManualClock

__all__ = ["ManualClock"]
