"""Starting behaviours: what OTP keeps in `proc_lib`.

A start is synchronous: the starter waits until `init` is done, and a start that failed leaves nothing: when
the error is raised the process is gone, its name is free, and nothing of it is in the starter's mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, get_origin, overload

from ._backends import Home
from ._pure.bounds import Bounded
from ._pure.child_spec import UNSET, ChildSpec
from ._pure.ids import Reference
from .call_cycles import held_up_by
from .errors import AlreadyStarted, StartTimeout
from .messages import Starting, result_of
from .naming import Naming, naming_of
from .reasons import Killed, Reason
from .refs import Behaviour, Runner, ServerRef
from .runtime import Body, Process, Runtime, here, this_process

P = ParamSpec("P")
S = TypeVar("S", bound=Behaviour)


class TypedChild(ChildSpec, Generic[S]):
    """A child specification that knows the class it starts; made by `child`."""


def child(cls: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> TypedChild[S]:
    """How to start one child: its class and the arguments of its constructor.

    The defaults are OTP's: permanent, 5 s to shut down (infinity for supervisors), the class name as id.
    Raises `TypeError` if `cls` is no behaviour, or its `mailbox` no bound.
    """
    behaviour = class_of(cls)
    return TypedChild(cls=cls, args=args, kwargs=kwargs, type=behaviour.child_type)


def class_of(cls: Callable[..., object]) -> type[Behaviour]:
    """The behaviour class itself, also of a parametrised one as in `Cell[int]`."""
    origin = cls if isinstance(cls, type) else get_origin(cls)
    if not (isinstance(origin, type) and issubclass(origin, Behaviour)):
        raise TypeError(f"{cls!r} is no behaviour: subclass GenServer or Supervisor")
    if origin.mailbox is not None and not isinstance(origin.mailbox, Bounded):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{origin.__name__}.mailbox must be a Bounded or None, not {origin.mailbox!r}")
    return origin


# -- starting


@overload
async def start_link(spec: TypedChild[S], /) -> ServerRef[S]: ...
@overload
async def start_link(cls: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> ServerRef[S]: ...
async def start_link(what: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Start a server or supervisor linked with this process, and wait until it is ready.

    Raises `StartFailed`, `AlreadyStarted`, `StartTimeout`, or `Ignored`; none of them harms this process.
    """
    me = this_process("start_link")
    return await start_process(me.runtime, _spec(what, args, kwargs), me, link=True)


@overload
async def start(spec: TypedChild[S], /) -> ServerRef[S]: ...
@overload
async def start(cls: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> ServerRef[S]: ...
async def start(what: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Start a server or supervisor without a link; errors as `start_link`."""
    me = here()
    parent = me if isinstance(me, Process) else None
    return await start_process(me.runtime, _spec(what, args, kwargs), parent, link=False)


@overload
async def start_monitor(spec: TypedChild[S], /) -> tuple[ServerRef[S], Reference]: ...
@overload
async def start_monitor(
    cls: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs
) -> tuple[ServerRef[S], Reference]: ...
async def start_monitor(what: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Start a server or supervisor and monitor it from its first moment; errors as `start_link`."""
    me = this_process("start_monitor")
    refs: list[Reference] = []
    try:
        server = await start_process(
            me.runtime,
            _spec(what, args, kwargs),
            me,
            link=False,
            spawned=lambda process: refs.append(me.monitor(process.pid)),
        )
    except BaseException:
        for ref in refs:
            me.demonitor(ref, flush=True)
        raise
    return server, refs[0]


def _spec(what: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ChildSpec:
    if isinstance(what, ChildSpec):
        if args or kwargs:
            raise TypeError("a child specification carries its arguments; give none beside it")
        return what
    return child(what, *args, **kwargs)


async def start_process(
    runtime: Runtime,
    spec: ChildSpec,
    parent: Process | None,
    *,
    link: bool,
    home: Home | None = None,
    spawned: Callable[[Process], object] = lambda _process: None,
) -> ServerRef[Any]:
    """Start the process of a specification, in the given home, and wait until it is ready or gone."""
    cls = class_of(spec.cls)
    naming = naming_of(spec.name)
    holder = None if naming is None else naming.whereis(runtime)
    if holder is not None:
        raise AlreadyStarted(holder)
    runner = cls.runner(spec)
    process = runtime.spawn(
        runner.run if naming is None else _under(naming, runner),
        cls.__name__,
        parent,
        link=link,
        home=home,
        bury_children=runner.bury_children if runner.owns_children else None,
        bound=cls.mailbox if spec.mailbox is UNSET else spec.mailbox,
    )
    process.runner = runner
    process.shutdown = spec.shutdown
    started = process.started = Starting(None if parent is None else parent.pid, runtime.backend.promise())
    started.keep_in(process.requests)
    spawned(process)
    timer, held_up = None, None
    if spec.start_timeout is not None:
        timer = runtime.timers.after(spec.start_timeout, lambda: _start_too_slow(process, cls, spec.start_timeout))
    try:
        held_up = held_up_by(runtime, started, process)
        result_of(await started.promise)
    finally:
        if held_up is not None:
            held_up.waits_for = None
        started.withdraw()
        if timer is not None:
            timer.cancel()
    return ServerRef(process.pid, cls, _runtime=runtime)


def _under(naming: Naming, runner: Runner) -> Body:
    """The body of a process that takes its name first: `init` may hand it out already."""

    async def run(process: Process) -> Reason | None:
        holder = await naming.claim(process)
        if holder is not None:
            process.start_error = AlreadyStarted(holder)
        elif process.exiting is None:
            return await runner.run(process)
        return None

    return run


def _start_too_slow(process: Process, cls: type[Behaviour], timeout_s: float | None) -> None:
    if process.exiting is None:
        process.start_error = StartTimeout(cls.__name__, timeout_s)
        process.die(Killed())
