"""A stream of bytes as frames, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow._pure.codec import TICK, BadFrame, FrameReader


@given(st.lists(st.binary(max_size=20)), st.data())
def test_frames_are_found_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    """A network keeps the order of bytes, and nothing else."""
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = FrameReader()
    chunks = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    assert [body for chunk in chunks for body in reader.feed(chunk)] == bodies


def test_a_tick_is_an_empty_frame() -> None:
    """No term is that short."""
    assert list(FrameReader().feed(TICK * 3)) == [b"", b"", b""]


def test_a_frame_may_be_as_long_as_the_limit_and_no_longer() -> None:
    """It is refused by its length, before any of it is there; those before it still count."""
    reader = FrameReader(10)
    assert list(reader.feed(b"\0\0\0\x0a" + bytes(10))) == [bytes(10)]
    frames = reader.feed(b"\0\0\0\1x" + b"\0\0\0\x0b")
    assert next(frames) == b"x"
    with pytest.raises(BadFrame, match="a frame of 11 bytes, more than 10"):
        next(frames)


def test_a_reader_that_was_left_early_goes_on_where_it_was() -> None:
    """What was handed out is not handed out again."""
    reader = FrameReader()
    frames = reader.feed(b"\0\0\0\1a\0\0\0\1b\0\0\0")
    assert next(frames) == b"a"
    del frames
    assert list(reader.feed(b"\1c")) == [b"b", b"c"]
