"""What a supervisor is told: child specifications and supervisor flags, validated once, here.

An unknown word is not refused where it is converted but where the whole specification is checked, so that one
error names all mistakes.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import is_
from types import MappingProxyType
from typing import Any, Final, Literal, Self, TypeAlias, TypeGuard, TypeVar, cast, get_origin

import attrs

from .bounds import Bounded
from .ids import ProcessName


class Restart(enum.StrEnum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After an abnormal end; its specification stays after a normal one."""
    TEMPORARY = "temporary"
    """Never; its specification goes with it."""


class Strategy(enum.StrEnum):
    """Who is restarted along with a child that failed."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody else."""
    ONE_FOR_ALL = "one_for_all"
    """All children."""
    REST_FOR_ONE = "rest_for_one"
    """Those that were started after it."""


class AutoShutdown(enum.StrEnum):
    """Whether the end of significant children ends their supervisor."""

    NEVER = "never"
    """Never; significant children are refused."""
    ANY_SIGNIFICANT = "any_significant"
    """As soon as one significant child has ended by itself."""
    ALL_SIGNIFICANT = "all_significant"
    """When the last significant child has ended by itself."""


class ChildType(enum.StrEnum):
    """What a child is, for those who count and show children."""

    WORKER = "worker"
    """A process that does the work."""
    SUPERVISOR = "supervisor"
    """A process that has children itself."""


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "unset"
    """Nothing was given, not even `None`."""


UNSET: Final = Unset.UNSET

RestartWord: TypeAlias = Literal["permanent", "transient", "temporary"]
StrategyWord: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdownWord: TypeAlias = Literal["never", "any_significant", "all_significant"]
ChildTypeWord: TypeAlias = Literal["worker", "supervisor"]
ChildLimit: TypeAlias = int | Literal["infinity"]
ShutdownTime: TypeAlias = float | Literal["infinity", "brutal_kill"]

WORKER_SHUTDOWN_S = 5.0  # what OTP gives a worker; a supervisor gets all the time its own children need

_E = TypeVar("_E", bound=enum.Enum)


def _member(kind: type[_E], word: object) -> _E:
    try:
        return word if isinstance(word, kind) else kind(word)
    except ValueError:
        return cast(_E, word)  # reported with all other mistakes by `_Rule`


def _as_restart(word: Restart | RestartWord) -> Restart:
    return _member(Restart, word)


def _as_child_type(word: ChildType | ChildTypeWord) -> ChildType:
    return _member(ChildType, word)


_NO_KWARGS: Final[Mapping[str, object]] = MappingProxyType({})


def _as_tuple(args: Iterable[object]) -> tuple[object, ...]:
    return tuple(args)


def _read_only(kwargs: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(kwargs)) if kwargs else _NO_KWARGS


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> TypeGuard[float]:  # not a number is neither positive nor 0
    return _is_number(value) and value > 0


def is_count(value: object) -> bool:
    """Whether it is a whole number of at least 0."""
    return type(value) is int and value >= 0


def _is_shutdown(value: object) -> bool:
    if isinstance(value, str):
        return value in ("infinity", "brutal_kill")
    return _is_number(value) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_name(value: object) -> bool:
    return _is_text(value) or isinstance(value, ProcessName)


@attrs.frozen
class _Rule:
    """What one field must be."""

    field: str
    holds: Callable[[Any], bool]
    expected: str


_SPEC_RULES = (
    _Rule("cls", callable, "a class or another callable"),
    _Rule("id", _is_text, "a non-empty string"),
    _Rule("name", lambda v: v is None or _is_name(v), "a non-empty string, a Via, a Global or None"),
    _Rule("restart", lambda v: isinstance(v, Restart), "permanent, transient or temporary"),
    _Rule("shutdown", _is_shutdown, "seconds of at least 0, infinity or brutal_kill"),
    _Rule("type", lambda v: isinstance(v, ChildType), "worker or supervisor"),
    _Rule("significant", lambda v: isinstance(v, bool), "True or False"),
    _Rule("start_timeout", lambda v: v is None or _is_positive(v), "seconds above 0 or None"),
    _Rule("mailbox", lambda v: v is None or v is UNSET or isinstance(v, Bounded), "a Bounded or None"),
)

_UNSAID = (None, Restart.PERMANENT, False, None, UNSET, UNSET, UNSET)  # the defaults of what may be said of a child

_LIMIT_RULES = (
    _Rule("intensity", is_count, "a whole number of at least 0"),
    _Rule("period", lambda v: _is_positive(v) and v < math.inf, "a finite number of seconds above 0"),
    _Rule("auto_shutdown", lambda v: isinstance(v, AutoShutdown), "never, any_significant or all_significant"),
)

_FLAG_RULES = (
    _Rule("strategy", lambda v: isinstance(v, Strategy), "one_for_one, one_for_all or rest_for_one"),
    *_LIMIT_RULES,
)

_DYNAMIC_FLAG_RULES = (
    _Rule("strategy", lambda v: v is Strategy.ONE_FOR_ONE, "one_for_one"),
    *_LIMIT_RULES,
    _Rule("max_children", lambda v: v == "infinity" or is_count(v), "a whole number of at least 0 or infinity"),
    _Rule("extra_arguments", lambda v: isinstance(v, tuple | list), "a tuple or a list"),
)


_PARTITION_RULES = (
    _Rule("child_spec", lambda v: isinstance(v, ChildSpec), "a child specification"),
    _Rule("its name", lambda v: v is None, "None, because all partitions would share it"),
    _Rule("partitions", lambda v: is_count(v) and v > 0, "a whole number of at least 1"),
    _Rule("with_arguments", lambda v: v is None or callable(v), "a function or None"),
    _Rule("auto_shutdown", lambda v: v is AutoShutdown.NEVER, "never"),
)


def _broken(rules: Iterable[_Rule], value_of: Callable[[str], object]) -> list[str]:
    return [
        f"{rule.field} must be {rule.expected}, not {value!r}"
        for rule in rules
        if not rule.holds(value := value_of(rule.field))
    ]


def _refuse(what: str, mistakes: list[str]) -> None:
    if mistakes:
        raise ValueError(f"{what}: {'; '.join(mistakes)}")


def _class_name(cls: object) -> str:
    # A parametrised class such as Cell[int] and a functools.partial have no name of their own.
    target: object = cls.func if isinstance(cls, partial) else get_origin(cls) or cls
    return str(getattr(target, "__name__", type(target).__name__))


@attrs.frozen
class ChildSpec:
    """How a supervisor starts, restarts and stops one child.

    Immutable and hashable; the arguments are kept as they are and given again at each restart.
    The constructor takes the words of the enumerations as well. Raises `ValueError` that names each wrong field.
    """

    cls: Callable[..., object]
    args: tuple[object, ...] = attrs.field(default=(), converter=_as_tuple, hash=False)
    kwargs: Mapping[str, object] = attrs.field(factory=dict[str, object], converter=_read_only, hash=False)
    name: str | ProcessName | None = attrs.field(default=None, kw_only=True)
    """The name it is registered under, on its node if it is a string; `None` for none."""
    restart: Restart = attrs.field(default=Restart.PERMANENT, converter=_as_restart, kw_only=True)
    type: ChildType = attrs.field(default=ChildType.WORKER, converter=_as_child_type, kw_only=True)
    significant: bool = attrs.field(default=False, kw_only=True)
    """Whether its end counts for the supervisor's `auto_shutdown`. Never for a permanent child."""
    start_timeout: float | None = attrs.field(default=None, kw_only=True)
    """Seconds its start may take; `None` for as long as it takes."""
    mailbox: Bounded | Unset | None = attrs.field(default=UNSET, kw_only=True)
    """How much its mailbox may hold; `None` for no bound, and what the class says unless it is set."""
    _id: str | Unset = attrs.field(default=UNSET, alias="id", kw_only=True)
    _shutdown: ShutdownTime | Unset = attrs.field(default=UNSET, alias="shutdown", kw_only=True)

    def __attrs_post_init__(self) -> None:
        said = (self.name, self.restart, self.significant, self.start_timeout, self.mailbox, self._id, self._shutdown)
        if all(map(is_, said, _UNSAID)) and isinstance(self.cls, type) and type(self.type) is ChildType:
            return  # as it is with most that are made for one start: nothing that could be wrong
        if mistakes := _broken(_SPEC_RULES, lambda field: getattr(self, field)):
            _refuse(f"child specification of {_class_name(self.cls)}", mistakes)

    @property
    def id(self) -> str:
        """What its supervisor knows it by: as set, else the registered name, else the class name."""
        if self._id is not UNSET:
            return self._id
        name = self.name.name if isinstance(self.name, ProcessName) else self.name
        return _class_name(self.cls) if name is None else str(name)

    @property
    def shutdown(self) -> ShutdownTime:
        """Seconds between the order to stop and the kill: as set, else 5 for workers, infinity for supervisors."""
        if self._shutdown is not UNSET:
            return self._shutdown
        return "infinity" if self.type is ChildType.SUPERVISOR else WORKER_SHUTDOWN_S

    def named(self, name: str | ProcessName) -> Self:
        """The same child, registered under `name`."""
        return attrs.evolve(self, name=name)

    def with_(
        self,
        *,
        id: str | Unset = UNSET,
        restart: Restart | RestartWord | Unset = UNSET,
        shutdown: ShutdownTime | Unset = UNSET,
        type: ChildType | ChildTypeWord | Unset = UNSET,
        significant: bool | Unset = UNSET,
        start_timeout: float | Unset | None = UNSET,
        mailbox: Bounded | Unset | None = UNSET,
    ) -> Self:
        """The same child with these changes. Raises `ValueError` that names each wrong field."""
        changes: dict[str, Any] = {
            "id": id,
            "restart": restart,
            "shutdown": shutdown,
            "type": type,
            "significant": significant,
            "start_timeout": start_timeout,
            "mailbox": mailbox,
        }
        return attrs.evolve(self, **{field: value for field, value in changes.items() if value is not UNSET})


@attrs.frozen
class Flags:
    """How a supervisor reacts to the end of its children."""

    strategy: Strategy
    intensity: int
    """Restarts accepted within `period_s`."""
    period_s: float
    auto_shutdown: AutoShutdown


def check_flags(strategy: object, intensity: object, period: object, auto_shutdown: object) -> Flags:
    """The flags of a supervisor, words turned into members. Raises `ValueError` that names each wrong flag."""
    values: dict[str, Any] = {
        "strategy": _member(Strategy, strategy),
        "intensity": intensity,
        "period": period,
        "auto_shutdown": _member(AutoShutdown, auto_shutdown),
    }
    _refuse("supervisor flags", _broken(_FLAG_RULES, values.__getitem__))
    return Flags(values["strategy"], values["intensity"], float(values["period"]), values["auto_shutdown"])


@attrs.frozen
class DynamicFlags(Flags):
    """The same of a dynamic supervisor, with what only that one has."""

    max_children: ChildLimit
    extra_arguments: tuple[object, ...]

    def has_room(self, children: int) -> bool:
        """Whether one more may be added to so many children."""
        return self.max_children == "infinity" or children < self.max_children


def check_dynamic_flags(
    strategy: object,
    intensity: object,
    period: object,
    auto_shutdown: object,
    max_children: object,
    extra_arguments: object,
) -> DynamicFlags:
    """The flags of a dynamic supervisor, words turned into members. Raises `ValueError` that names each wrong flag."""
    values: dict[str, Any] = {
        "strategy": _member(Strategy, strategy),
        "intensity": intensity,
        "period": period,
        "auto_shutdown": _member(AutoShutdown, auto_shutdown),
        "max_children": max_children,
        "extra_arguments": extra_arguments,
    }
    _refuse("dynamic supervisor flags", _broken(_DYNAMIC_FLAG_RULES, values.__getitem__))
    values |= {"period_s": float(values.pop("period")), "extra_arguments": tuple(values["extra_arguments"])}
    return DynamicFlags(**values)


def check_partitions(child_spec: object, partitions: object, with_arguments: object, auto_shutdown: object) -> None:
    """Raise `ValueError` that names everything about the partitions of a child that makes no sense."""
    values: dict[str, object] = {
        "child_spec": child_spec,
        "its name": getattr(child_spec, "name", None),
        "partitions": partitions,
        "with_arguments": with_arguments,
        "auto_shutdown": _member(AutoShutdown, auto_shutdown),
    }
    _refuse("partition supervisor", _broken(_PARTITION_RULES, values.__getitem__))


def check_specs(specs: Iterable[object], auto_shutdown: AutoShutdown) -> tuple[ChildSpec, ...]:
    """These specifications, fit to be children of one supervisor.

    Raises one `ValueError` that lists what is no specification, each duplicate id, and each significant child
    that could never count.
    """
    given = tuple(specs)
    children = tuple(spec for spec in given if isinstance(spec, ChildSpec))
    mistakes = [f"not a child specification: {spec!r}" for spec in given if not isinstance(spec, ChildSpec)]
    ids = Counter(spec.id for spec in children)
    mistakes += [f"duplicate child id {id_!r}" for id_, times in ids.items() if times > 1]
    mistakes += [mistake for spec in children for mistake in _idle_significance(spec, auto_shutdown)]
    _refuse("child specifications", mistakes)
    return children


def _idle_significance(spec: ChildSpec, auto_shutdown: AutoShutdown) -> Iterable[str]:
    if not spec.significant:
        return
    if auto_shutdown is AutoShutdown.NEVER:
        yield f"child {spec.id!r} is significant, but auto_shutdown is never"
    if spec.restart is Restart.PERMANENT:
        yield f"child {spec.id!r} is significant, but permanent: it never ends by itself"
