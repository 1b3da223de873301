"""Values that stand by themselves in a frame and that msgpack has no words for: what their extensions hold."""

from __future__ import annotations

import struct
from datetime import datetime

from .ids import Pid, Reference
from .vocabulary import BadFrame, NotPortable

# Those with a negative number are msgpack's own, and not used.
INTEGER, DATETIME, FUNCTION, PID, REFERENCE = range(5)

NODE_BYTES_MAX = 255  # as in the greeting

_PID = struct.Struct(">3I")  # the name of the node comes behind it
_REFERENCE = struct.Struct(">4I")


def data_of_integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def read_integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def data_of_datetime(value: datetime) -> bytes:
    return bytes([value.fold]) + value.isoformat().encode()


def read_datetime(data: bytes) -> datetime:
    """Only as `isoformat` writes it."""
    text = data[1:].decode()
    found = datetime.fromisoformat(text).replace(fold=data[0])
    if found.isoformat() != text:
        raise BadFrame("a malformed datetime")
    return found


def data_of_pid(pid: Pid) -> bytes:
    """Raises `NotPortable` for one that no node has made."""
    try:
        return _PID.pack(pid.id, pid.serial, pid.creation) + _named(pid.node)
    except (struct.error, AttributeError, ValueError):
        raise NotPortable("a malformed Pid") from None


def read_pid(data: bytes) -> Pid:
    node = _node(data, _PID.size)
    return Pid(node, *_PID.unpack_from(data))


def data_of_reference(reference: Reference) -> bytes:
    """Raises `NotPortable` for one that no node has made."""
    try:
        return _REFERENCE.pack(reference.creation, *reference.words) + _named(reference.node)
    except (struct.error, AttributeError, ValueError):
        raise NotPortable("a malformed Reference") from None


def read_reference(data: bytes) -> Reference:
    node = _node(data, _REFERENCE.size)
    creation, one, two, three = _REFERENCE.unpack_from(data)
    return Reference(node, creation, (one, two, three))


def _named(node: str) -> bytes:
    data = node.encode()
    if len(data) > NODE_BYTES_MAX:
        raise ValueError("a node with too long a name")
    return data


def _node(data: bytes, at: int) -> str:
    if not at <= len(data) <= at + NODE_BYTES_MAX:
        raise BadFrame("a malformed pid or reference")
    return data[at:].decode()
