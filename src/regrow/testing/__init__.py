"""What regrow's users test their services with, and regrow itself."""

from .clock import ManualClock as ManualClock
from .network import MemoryNetwork as MemoryNetwork

__all__ = ["ManualClock", "MemoryNetwork"]
