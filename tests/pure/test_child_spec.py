"""Child specifications and supervisor flags: defaults, changes, and what is refused (SUP-008 to SUP-013)."""

from __future__ import annotations

import functools
import math
from typing import Any, Generic, TypeVar

import attrs
import pytest

from regrow._pure.child_spec import (
    AutoShutdown,
    ChildSpec,
    ChildType,
    Flags,
    Restart,
    Strategy,
    check_dynamic_flags,
    check_flags,
    check_specs,
)

T = TypeVar("T")
WORDS = "one_for_one", 1, 5.0, "never"
WRONG: dict[str, list[object]] = {
    "restart": ["always", None, True, [], Strategy.ONE_FOR_ONE],
    "type": ["boss", None, 1, Restart.PERMANENT],
    "significant": [None, 1, "yes"],
    "id": ["", None, 7],
    "start_timeout": [0, -1.0, math.nan, False, "infinity"],
}


class Counter:
    def __init__(self, value: int = 0, *, step: int = 1) -> None:
        self.value = value
        self.step = step


class Cell(Generic[T]):
    def func(self) -> None:
        """Named like the attribute of a partial."""


@attrs.frozen
class Typed(ChildSpec, Generic[T]):
    pass


def refused(**changes: Any) -> str:
    with pytest.raises(ValueError, match="child specification of Counter: ") as caught:
        ChildSpec(Counter).with_(**changes)
    return str(caught.value).removeprefix("child specification of Counter: ")


def test_the_defaults_are_those_of_otp() -> None:
    """Permanent worker, 5 seconds, not significant, no limit on the start (SUP-008)."""
    spec = ChildSpec(Counter)
    assert (spec.restart, spec.type, spec.shutdown) == (Restart.PERMANENT, ChildType.WORKER, 5.0)
    assert (spec.significant, spec.start_timeout, spec.name) == (False, None, None)
    assert (spec.args, dict(spec.kwargs)) == ((), {})


def test_a_supervisor_has_all_the_time_it_needs_to_stop() -> None:
    """The default follows the type, in whatever order they are set; what was set stays."""
    assert ChildSpec(Counter, type=ChildType.SUPERVISOR).shutdown == "infinity"
    assert ChildSpec(Counter).with_(type="supervisor").with_(significant=False).shutdown == "infinity"
    assert ChildSpec(Counter).with_(shutdown=2.0).with_(type="supervisor").shutdown == 2.0


def test_the_id_is_the_one_given_else_the_name_else_the_class() -> None:
    """In whatever order they were given."""
    spec = ChildSpec(Counter)
    assert spec.id == "Counter"
    assert spec.named("c").id == "c"
    assert spec.named("c").named("d").id == "d"
    assert spec.with_(id="x").named("c").id == spec.named("c").with_(id="x").id == "x"
    assert spec.with_(id="Counter").named("c").id == "Counter"


def test_classes_without_a_name_of_their_own_give_that_of_the_class_behind_them() -> None:
    """Parametrised classes and partials are callables too."""
    assert ChildSpec(Cell).id == ChildSpec(Cell[int]).id == "Cell"
    assert ChildSpec(functools.partial(Counter, 5)).id == "Counter"


def test_words_and_members_mean_the_same() -> None:
    """What reads well in a program and what a type checker completes are one thing."""
    spec = ChildSpec(Counter)
    assert spec.with_(restart="transient") == spec.with_(restart=Restart.TRANSIENT)
    assert spec.with_(type="supervisor").type is ChildType.SUPERVISOR
    assert spec.with_(restart="temporary").restart is Restart.TEMPORARY


def test_changes_leave_everything_else_as_it_was() -> None:
    """`with_` without a field does not touch it, and `None` is a value where it is one."""
    spec = ChildSpec(Counter, (1,), {"step": 2}, name="c").with_(
        id="x", restart="transient", shutdown="brutal_kill", type="supervisor", significant=True, start_timeout=1.5
    )
    assert spec.with_() == spec
    assert spec.named("c") == spec
    assert spec.with_(start_timeout=None) == attrs.evolve(spec, start_timeout=None)
    assert spec.with_(start_timeout=None).id == "x"


def test_a_change_gives_a_new_specification_of_the_same_class() -> None:
    """Subclasses that carry the type of the child survive `named` and `with_`."""
    spec: Typed[Counter] = Typed(Counter, (5,))
    changed: Typed[Counter] = spec.named("c").with_(shutdown=1)
    assert isinstance(changed, Typed)
    assert (spec.name, spec.shutdown) == (None, 5.0)


def test_a_specification_can_be_neither_changed_nor_changed_from_outside() -> None:
    """A restart uses what was written, and a set can hold specifications whatever their arguments."""
    kwargs: dict[str, object] = {"step": 2}
    spec = ChildSpec(Counter, ([1],), kwargs)
    kwargs["step"] = 3
    assert dict(spec.kwargs) == {"step": 2}
    assert len({spec, ChildSpec(Counter, ([1],), {"step": 2}), spec.named("c")}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("shutdown", [0, 0.0, 2, 1.5, math.inf, 10**400, "infinity", "brutal_kill"])
def test_these_shutdown_times_are_fine(shutdown: Any) -> None:
    """Zero kills at once after the order; OTP takes it too."""
    assert ChildSpec(Counter).with_(shutdown=shutdown).shutdown == shutdown


@pytest.mark.parametrize("shutdown", [-1, -0.1, -math.inf, math.nan, True, "soon", "", None, []])
def test_other_shutdown_times_are_refused(shutdown: Any) -> None:
    """A wrong time would otherwise be found when the tree stops, when it is too late."""
    expected = f"shutdown must be seconds of at least 0, infinity or brutal_kill, not {shutdown!r}"
    assert refused(shutdown=shutdown) == expected


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field, wrongs in WRONG.items() for wrong in wrongs])
def test_a_wrong_value_is_refused_by_field_and_value(field: str, wrong: Any) -> None:
    """The message says what to look for in the program (SUP-011)."""
    message = refused(**{field: wrong})
    assert message.startswith(f"{field} must be ")
    assert message.endswith(f", not {wrong!r}")
    with pytest.raises(ValueError, match=f"{field} must be "):
        ChildSpec(Counter, **{field: wrong})


def test_a_name_is_a_non_empty_string() -> None:
    """It is what others type to reach the child."""
    for wrong in ("", 7, b"c"):
        with pytest.raises(ValueError, match="name must be a non-empty string, a Via, a Global or None"):
            ChildSpec(Counter).named(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_called_is_no_child() -> None:
    """An instance instead of its class is the usual slip."""
    with pytest.raises(ValueError, match="cls must be a class or another callable"):
        ChildSpec(Counter())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_all_wrong_fields_are_named_at_once() -> None:
    """Nobody should have to start a tree three times to find three mistakes."""
    message = refused(restart="always", type="boss", shutdown=-1)
    assert [part.split()[0] for part in message.split("; ")] == ["restart", "shutdown", "type"]


def test_flags_come_back_as_members() -> None:
    """The supervisor works with one form, whatever its class says."""
    expected = Flags(Strategy.REST_FOR_ONE, 3, 10.0, AutoShutdown.ANY_SIGNIFICANT)
    assert check_flags("rest_for_one", 3, 10, "any_significant") == expected
    assert check_flags(Strategy.REST_FOR_ONE, 3, 10.0, AutoShutdown.ANY_SIGNIFICANT) == expected
    assert check_flags("one_for_one", 0, 0.001, "never").strategy is Strategy.ONE_FOR_ONE


@pytest.mark.parametrize(
    ("place", "field", "wrongs"),
    [
        (0, "strategy", ["all", "simple_one_for_one", None, 1]),
        (1, "intensity", [-1, 1.0, True, "1", None, math.inf]),
        (2, "period", [0, -5, math.inf, math.nan, True, "5", None]),
        (3, "auto_shutdown", ["always", True, None]),
    ],
)
def test_a_wrong_flag_is_refused_by_name_and_value(place: int, field: str, wrongs: list[object]) -> None:
    """A supervisor with a wrong budget would show it only in the worst moment (SUP-010)."""
    for wrong in wrongs:
        flags: list[object] = list(WORDS)
        flags[place] = wrong
        with pytest.raises(ValueError, match=f"^supervisor flags: {field} must be [^;]*$") as caught:
            check_flags(*flags)
        assert str(caught.value).endswith(f", not {wrong!r}")


def test_all_wrong_flags_are_named_at_once() -> None:
    """As with specifications."""
    with pytest.raises(ValueError, match=r"strategy must .*; intensity must .*; period must .*; auto_shutdown must "):
        check_flags("all", -1, 0, "sometimes")


DYNAMIC_WORDS = *WORDS, "infinity", ()


def test_flags_of_a_dynamic_supervisor_come_back_as_members() -> None:
    """Those of every supervisor, and its own two."""
    shared = Flags(Strategy.ONE_FOR_ONE, 1, 5.0, AutoShutdown.NEVER)
    flags = check_dynamic_flags(*WORDS, 7, ["a"])
    assert Flags(flags.strategy, flags.intensity, flags.period_s, flags.auto_shutdown) == shared
    assert (flags.max_children, flags.extra_arguments) == (7, ("a",))


@pytest.mark.parametrize(
    ("place", "field", "wrongs"),
    [
        (0, "strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE, "simple_one_for_one", None]),
        (1, "intensity", [-1, 1.0]),
        (2, "period", [0, math.inf]),
        (3, "auto_shutdown", ["always"]),
        (4, "max_children", [-1, 1.0, True, None, "many", math.inf]),
        (5, "extra_arguments", ["ab", None, 1, {}]),
    ],
)
def test_a_wrong_flag_of_a_dynamic_supervisor_is_refused_by_name_and_value(
    place: int, field: str, wrongs: list[object]
) -> None:
    """It has no order of children, so no other strategy than one_for_one (DYN-002)."""
    for wrong in wrongs:
        flags: list[object] = list(DYNAMIC_WORDS)
        flags[place] = wrong
        with pytest.raises(ValueError, match=f"^dynamic supervisor flags: {field} must be [^;]*$") as caught:
            check_dynamic_flags(*flags)
        assert str(caught.value).endswith(f", not {wrong!r}")


@pytest.mark.parametrize("held", range(4))
@pytest.mark.parametrize("limit", [0, 1, 2, 3, "infinity"])
def test_there_is_room_below_the_limit(limit: int | str, held: int) -> None:
    """All small limits and numbers; without a limit there always is."""
    has_room = check_dynamic_flags(*WORDS, limit, ()).has_room(held)
    assert has_room is (limit == "infinity" or held < int(limit))


def test_children_of_one_supervisor_come_back_as_a_tuple() -> None:
    """`init` may be a generator: it can be read only once."""
    specs = [ChildSpec(Counter), ChildSpec(Counter, name="c")]
    assert check_specs(iter(specs), AutoShutdown.NEVER) == tuple(specs)
    assert check_specs([], AutoShutdown.NEVER) == ()


def test_duplicate_ids_are_refused_each_once() -> None:
    """Ids are how children are told apart (SUP-013)."""
    a, b, c = (ChildSpec(Counter, id=id_) for id_ in "abc")
    with pytest.raises(ValueError, match=r"^child specifications: duplicate child id 'a'; duplicate child id 'b'$"):
        check_specs([a, b, a, c, b, a], AutoShutdown.NEVER)


def test_what_is_no_specification_is_refused() -> None:
    """A class without `child(...)` around it is the usual slip."""
    with pytest.raises(ValueError, match=r"not a child specification: <class '.*Counter'>"):
        check_specs([Counter, ChildSpec(Counter)], AutoShutdown.NEVER)


@pytest.mark.parametrize("auto_shutdown", AutoShutdown)
@pytest.mark.parametrize("restart", Restart)
def test_a_significant_child_must_be_able_to_count(restart: Restart, auto_shutdown: AutoShutdown) -> None:
    """OTP refuses both combinations: a permanent one never ends by itself, and `never` never looks."""
    spec = ChildSpec(Counter).with_(significant=True).with_(restart=restart)
    assert check_specs([attrs.evolve(spec, significant=False)], auto_shutdown)
    wrong = [
        *["but auto_shutdown is never"] * (auto_shutdown is AutoShutdown.NEVER),
        *["but permanent"] * (restart is Restart.PERMANENT),
    ]
    if wrong:
        with pytest.raises(ValueError, match=".*".join(f"'Counter' is significant, {why}" for why in wrong)):
            check_specs([spec], auto_shutdown)
    else:
        assert check_specs([spec], auto_shutdown) == (spec,)


def test_all_mistakes_among_children_are_listed_at_once() -> None:
    """One start, one error, all mistakes."""
    spec = ChildSpec(Counter, significant=True)
    with pytest.raises(ValueError, match=r"not a child .*; duplicate .*; child 'Counter' is significant") as caught:
        check_specs([spec, 5, spec], AutoShutdown.ANY_SIGNIFICANT)
    assert str(caught.value).count(";") == 3
