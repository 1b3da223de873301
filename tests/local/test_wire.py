"""The words between nodes: each arrives as it was sent, and none of the wrong make is sent or believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

import attrs
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terms import ATOMS, shape, terms

from regrow import (
    GenServer,
    Name,
    Node,
    NotPortable,
    ServerRef,
    call,
    cast as cast_handler,
    connect,
    gen_call,
    monitor,
    receive,
    register,
    self_pid,
    send,
    spawn,
    start,
)
