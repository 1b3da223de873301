"""Which of several partitions a key belongs to: the same in every run, on every node and with every Python."""

from __future__ import annotations

import enum
from hashlib import blake2b
from typing import Any

import attrs


def partition_of(key: object, partitions: int) -> int:
    """The partition that a key belongs to, of so many, from 0 up.

    A whole number belongs to its absolute value modulo the number of partitions; any other key goes by a hash of its
    value. Equal keys belong together. Raises `TypeError` for a key that is made of anything but None, numbers,
    strings, bytes, members of enumerations, tuples, and objects of attrs classes (as pids are).
    """
    number = _whole(key)
    if number is None:
        number = int.from_bytes(blake2b(_bytes_of(key), digest_size=8).digest())
    return abs(number) % partitions


def _whole(key: object) -> int | None:
    """The key as a whole number, if it is equal to one."""
    if isinstance(key, int) or (isinstance(key, float) and key.is_integer()):
        return int(key)
    return None


def _bytes_of(key: object) -> bytes:
    """The value in bytes: of equal ones the same, of others different ones. `hash` would not do, it is salted."""
    number = _whole(key)
    if number is not None:
        return _tagged(b"i", str(number).encode())
    match key:
        case None:
            return _tagged(b"n", b"")
        case float():
            return _tagged(b"f", key.hex().encode())
        case str():
            return _tagged(b"s", key.encode("utf-8", "surrogatepass"))
        case bytes():
            return _tagged(b"b", key)
        case enum.Enum():
            return _tagged(b"e", _bytes_of((type(key).__name__, key.name)))
        case tuple():
            return _tagged(b"t", b"".join(map(_bytes_of, key)))  # pyright: ignore[reportUnknownArgumentType]
        case _ if attrs.has(type(key)):
            return _tagged(b"a", _bytes_of((type(key).__name__, *_compared(key))))
        case _:
            raise TypeError(f"a partition has no key such as {key!r}: use numbers, strings, bytes, or tuples of them")


def _compared(key: Any) -> tuple[object, ...]:
    """What an object of an attrs class is compared by."""
    return attrs.astuple(key, recurse=False, filter=lambda field, _: bool(field.eq))


def _tagged(tag: bytes, content: bytes) -> bytes:
    # With its length, so that ("a", "bc") and ("ab", "c") differ.
    return b"%s%d:%s" % (tag, len(content), content)
