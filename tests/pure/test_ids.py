"""Pids and references: data, equal by value, printed as in OTP."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from regrow._pure.ids import UNNAMED_NODE, Pid, PidText, Reference, parse_pid

PID = Pid("jc1@localhost", 9, 0, 4_000_000_000)
REF = Reference("jc1@localhost", 4_000_000_000, (1, 2, 3))


def test_a_pid_prints_its_node_and_numbers() -> None:
    """The node by name; the incarnation is left out, as it is of no use to a reader."""
    assert str(PID) == repr(PID) == f"{PID}" == "<jc1@localhost.9.0>"


def test_a_pid_of_an_unnamed_node_prints_as_in_otp() -> None:
    """`<0.9.0>`: the node that has no name needs none."""
    assert str(Pid(UNNAMED_NODE, 9, 1, 1)) == "<0.9.1>"


def test_a_reference_prints_its_node_and_words() -> None:
    """Enough to tell two apart in a log."""
    assert str(REF) == repr(REF) == "#Ref<jc1@localhost.1.2.3>"


@pytest.mark.parametrize("text", ["<jc1@localhost.9.0>", "jc1@localhost.9.0", "  <jc1@localhost.9.0>\n"])
def test_a_printed_pid_can_be_read_again(text: str) -> None:
    """As it stands in a log, or typed by hand without the brackets, which a shell would eat."""
    assert parse_pid(text) == PidText("jc1@localhost", 9, 0)


def test_a_node_name_may_contain_dots() -> None:
    """Long names do."""
    assert parse_pid("<a@h.example.org.12.3>") == PidText("a@h.example.org", 12, 3)
    assert parse_pid("<a@10.0.0.7.12.3>") == PidText("a@10.0.0.7", 12, 3)


def test_zero_is_the_unnamed_node() -> None:
    """The reverse of how it is printed."""
    assert parse_pid("<0.9.1>") == PidText(UNNAMED_NODE, 9, 1)


@pytest.mark.parametrize(
    "text", ["", "counter", "<>", "<0.9>", "<1.9.0>", "<jc1.9.0>", "<@.1.2>", "<a@h.x.0>", "<a@h.1.-2>", "<a b@h.1.2>"]
)
def test_what_is_no_pid_is_told_apart(text: str) -> None:
    """A command takes a pid or a name, and has to know which it got."""
    assert parse_pid(text) is None


@pytest.mark.parametrize("identity", [PID, REF])
def test_a_copy_is_equal_and_finds_the_same_place(identity: Pid | Reference) -> None:
    """Equal by value on every node, however it came there; its hash with it."""
    for other in (copy.copy(identity), copy.deepcopy(identity), pickle.loads(pickle.dumps(identity))):
        assert other == identity
        assert hash(other) == hash(identity)
        assert {identity: "found"}[other] == "found"


def test_identities_of_one_node_have_different_hashes() -> None:
    """They lie in tables by the million."""
    pids = {hash(Pid("a@h", number, 0, 77)) for number in range(1000)}
    references = {hash(Reference("a@h", 77, (number, 0, 0))) for number in range(1000)}
    assert len(pids) == len(references) == 1000


@pytest.mark.parametrize("change", [{"node": "b@h"}, {"id": 10}, {"serial": 1}, {"creation": 1}])
def test_pids_that_differ_in_anything_are_different(change: dict[str, Any]) -> None:
    """The incarnation too, which is not printed."""
    assert attrs.evolve(PID, **change) != PID


@pytest.mark.parametrize("identity", [PID, REF])
def test_an_identity_cannot_be_changed(identity: Pid | Reference) -> None:
    """Others hold the same object."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        identity.node = "b@h"  # type: ignore[misc]
