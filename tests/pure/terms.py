"""Terms of every kind that may cross nodes, for Hypothesis; and whether what arrived is what was sent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs
from hypothesis import strategies as st

from regrow.messages import Cast

LARGE = 2**200

# Offsets of every fineness that Python has; what `zoneinfo` knows of a zone does not travel.
ZONES = st.builds(timezone, st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)))
TIMES = st.builds(
    lambda time, fold: time.replace(fold=fold), st.datetimes(timezones=st.none() | ZONES), st.sampled_from([0, 1])
)
EDGES = [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]  # of what msgpack holds by itself
INTEGERS = st.integers() | st.integers(-LARGE, LARGE) | st.sampled_from(EDGES)
TEXTS = st.text(st.characters(codec="utf-8"))
ATOMS = st.none() | st.booleans() | INTEGERS | st.floats() | TEXTS | st.binary() | TIMES


def containers(inner: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One level more."""
    items = st.lists(inner, max_size=4)
    return items | items.map(tuple) | st.dictionaries(keys, inner, max_size=4) | st.sets(keys, max_size=4)


def terms(atoms: st.SearchStrategy[Any] = ATOMS) -> st.SearchStrategy[Any]:
    """Plain data, nested; `atoms` is what is in it."""
    keys = st.recursive(
        atoms, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=4
    )
    return keys | st.recursive(atoms, lambda inner: containers(inner, keys), max_leaves=12)


def shape(term: Any) -> Any:
    """The term with its types, equal for two terms only if nobody could tell them apart."""
    match term:
        case list() | tuple():
            return (type(term), [shape(item) for item in term])
        case set() | frozenset():
            return (type(term), sorted(map(repr, map(shape, term))))
        case dict():
            return (dict, [(shape(key), shape(value)) for key, value in term.items()])
        case partial():
            return (partial, term.func, shape(term.args), shape(term.keywords))
        case datetime():
            return (datetime, term.isoformat(), term.fold)
        case None | bool() | int() | float() | str() | bytes():
            return (type(term), repr(term))
        case BaseException():
            return (type(term), shape(term.args))
        case Cast():
            return (Cast, shape((term.method, term.args, term.kwargs)))
        case _ if attrs.has(type(term)):
            return (type(term), shape(attrs.astuple(term, recurse=False)))
        case _:
            return (type(term), term)
