"""What both checkers accept under strict rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, assert_never, assert_type

from regrow import (
    Application,
    Behaviour,
    Bounded,
    CallCycle,
    ChildCounts,
    ChildInfo,
    ChildSpec,
    Deferred,
    Down,
    Drop,
    DynamicSupervisor,
    GenServer,
    Global,
    Name,
    Normal,
    OnFull,
    PartitionSupervisor,
    Pid,
    Reason,
    Reference,
    Replies,
    RequestCollection,
    SentRequest,
    ServerRef,
    SpawnOptions,
    StartType,
    Stop,
    Strategy,
    Supervisor,
    TimerFired,
    TimerRef,
    TypedChild,
    Via,
    abcast,
    call,
    cancel_timer,
    cast,
    child,
    gen_call,
    gen_send_request,
    global_name,
    monitor,
    multi_call,
    peer,
    read_timer,
    receive,
    rpc,
    self_pid,
    send,
    send_after,
    send_wait,
    spawn,
    spawn_monitor,
    start,
    start_link,
    start_monitor,
    start_timer,
    sys,
    this_request,
    time_left,
    whereis,
)


class Counter(GenServer):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    async def init(self) -> None: ...

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @call
    async def wait_even(self) -> int | Deferred[int]:
        return Deferred[int]()

    @call
    async def only_deferred(self) -> Deferred[int]:
        return Deferred[int]()

    @call
    async def opt(self, *, key: str = "a") -> tuple[int, str] | None:
        return None

    @call
    async def opt_def(self) -> int | None | Deferred[int | None]:
        return None

    @call(timeout=None)
    async def slow(self, n: int) -> str:
        return str(n)

    @call
    def plain(self, n: int) -> str:
        return str(n)

    @call
    def plain_def(self) -> str | Deferred[str]:
        return ""

    @call
    def nothing(self) -> None: ...

    @cast
    async def reset(self) -> None: ...

    @cast
    def preset(self, n: int) -> None: ...

    @call
    async def twice(self, n: int) -> int:
        self.plain(n)
        await self.reset()
        self.preset(1)
        assert_type(self.plain(n), str)
        return await self.add(n)

    async def handle_info(self, message: object) -> None:
        raise Stop(reason=Normal())

    async def terminate(self, reason: Reason) -> None: ...


class Sub(Counter):
    @call
    async def add(self, n: int) -> int:
        return await super().add(n) if n else 1

    @call
    async def more(self) -> int:
        return 1


class JobCenterSup(Supervisor):
    strategy = Strategy.ONE_FOR_ONE
    intensity = 1
    period = 3600.0

    def init(self) -> Iterable[ChildSpec]:
        return [
            child(Counter).named("job_center_serv").with_(restart="permanent", shutdown=2.0),
            child(JobCenterSup2),
        ]


class JobCenterSup2(Supervisor):
    strategy = "one_for_all"

    def init(self) -> Iterable[TypedChild[Behaviour]]:
        return [child(Counter, 5)]


class Phonebook:
    def register(self, name: object, pid: Pid) -> bool:
        return True

    def unregister(self, name: object) -> None: ...

    def whereis(self, name: tuple[str, int]) -> Pid | None:
        return None

    def send(self, name: object, message: object) -> None: ...


K = TypeVar("K")


class Cell(GenServer, Generic[K]):
    def __init__(self, v: K) -> None:
        self.v = v

    @call
    async def get(self) -> K:
        return self.v

    @cast
    async def put(self, v: K) -> None: ...


async def worker(name: str, n: int) -> None: ...


async def servers() -> None:
    ref: ServerRef[Counter] = await start_link(Counter, 5)
    assert_type(await start(Counter, value=5), ServerRef[Counter])
    assert_type(await start_monitor(Counter, 5), tuple[ServerRef[Counter], Reference])
    ref2 = await start_link(child(Counter, 5).named("counter"))
    assert_type(ref2, ServerRef[Counter])
    assert_type(ref2.pid, Pid)
    assert_type(await Counter.add(ref, 3), int)
    assert_type(await Counter.add.with_timeout(0.5)(ref, 3), int)
    assert_type(await Counter.add.with_timeout(None)(ref, n=3), int)
    assert_type(await Counter.add(Name("counter", Counter).at("b@localhost"), 3), int)
    assert_type(await Counter.add.within_deadline()(ref, 3), int)
    assert_type(await Counter.add.with_timeout(2.0).within_deadline()(Name("counter", Counter), 3), int)
    await gen_call(ref, "hello", timeout=time_left())
    request = Counter.add.send_request(ref, 3)
    assert_type(request, SentRequest[int])
    assert_type(await request.wait(0.5), int)
    assert_type(await request.receive(), int)
    request.abandon()
    assert_type(Counter.opt.send_request(Name("counter", Counter), key="b"), SentRequest[tuple[int, str] | None])
    assert_type(Counter.wait_even.with_timeout(2.0).send_request(ref), SentRequest[int])
    requests: RequestCollection[int | str, str] = RequestCollection()
    requests.add(request, "add")
    requests.add(Counter.slow.send_request(ref, 1), "slow")
    assert_type(await requests.wait(), tuple[SentRequest[int | str], str])
    await gen_send_request("counter", "hello").wait()
    names = ["a@localhost", "b@localhost"]
    assert_type(await Counter.add.multi_call(names, Name("counter", Counter), 3), Replies[int])
    replies, bad_nodes = await Counter.slow.with_timeout(1.0).multi_call(None, Name("counter", Counter), n=3)
    assert_type(replies, list[tuple[str, str]])
    assert_type(bad_nodes, dict[str, Exception])
    await multi_call(names, "counter", "hello", 2.0)
    Counter.preset.abcast(names, Name("counter", Sub), 3)
    abcast(None, "counter", "hello")
    try:
        await Counter.add(ref, 3)
    except CallCycle as error:
        assert_type(error.processes, tuple[Pid, ...])
    assert_type(this_request().expired, bool)
    Counter.reset(ref)
    Counter.preset(ref, 3)
    assert_type(await Counter.slow(ref, 3), str)
    assert_type(await Counter.wait_even(ref), int)
    assert_type(await Counter.opt(ref, key="b"), tuple[int, str] | None)
    assert_type(await Counter.opt_def(ref), int | None)
    assert_type(await Counter.plain(ref, 1), str)
    assert_type(await Counter.plain_def(ref), str)
    assert_type(await Counter.only_deferred(ref), int)
    await Counter.nothing(ref)
    sub = await start_link(Sub, 1)
    assert_type(await Counter.add(sub, 3), int)
    _base: ServerRef[Counter] = sub
    pid = whereis("counter")
    if pid is not None:
        assert_type(ServerRef(pid, Counter), ServerRef[Counter])
    d = Deferred[int]()
    d.set(1)
    d.fail(ValueError("no"))


async def generic_servers() -> None:
    assert_type(await start_link(Cell, 3), ServerRef[Cell[int]])
    cell = await start_link(Cell[int], 3)
    assert_type(await Cell[int].get(cell), int)


class Jobs(DynamicSupervisor):
    intensity = 3
    strategy = "one_for_one"
    max_children = 100

    def __init__(self, database: str) -> None:
        self.extra_arguments = (database,)

    def init(self) -> None: ...

    @call(timeout=None)
    async def add(self, n: int) -> ServerRef[Counter]:
        return await self.start_child(child(Counter, n))


async def dynamic_supervisors() -> None:
    jobs = await start_link(Jobs, "db")
    ref = await DynamicSupervisor.start_child(jobs, child(Counter, 3))
    assert_type(ref, ServerRef[Counter])
    assert_type(await Jobs.add(jobs, 3), ServerRef[Counter])
    assert_type(await DynamicSupervisor.which_children(jobs), list[ChildInfo])
    assert_type(await DynamicSupervisor.count_children(jobs), ChildCounts)
    assert_type(await DynamicSupervisor.which_child(jobs, ref), ChildInfo)
    await DynamicSupervisor.terminate_child(jobs, ref)
    await DynamicSupervisor.terminate_child(jobs, ref.pid)
    await start_link(DynamicSupervisor)


class Counters(PartitionSupervisor[Counter]):
    intensity = 3


async def partition_supervisors() -> None:
    counters = await start_link(PartitionSupervisor, child(Counter, 5), partitions=4)
    assert_type(counters, ServerRef[PartitionSupervisor[Counter]])
    assert_type(PartitionSupervisor.partition(counters, "ada"), ServerRef[Counter])
    assert_type(await Counter.add(PartitionSupervisor.partition(counters, 7), 1), int)
    name = Name("counters", PartitionSupervisor[Counter])
    assert_type(PartitionSupervisor.partition(name, "ada"), ServerRef[Counter])
    assert_type(PartitionSupervisor.partitions(name), int)
    await PartitionSupervisor.resize(counters, 2)
    assert_type(await Supervisor.which_children(counters), list[ChildInfo])
    pools = child(PartitionSupervisor, child(DynamicSupervisor), with_arguments=lambda args, number: (*args, number))
    assert_type(PartitionSupervisor.partition(await start_link(pools), 1), ServerRef[DynamicSupervisor])
    own = await start_link(Counters, child(Counter))
    assert_type(PartitionSupervisor.partition(own, 1), ServerRef[Counter])


async def supervisors() -> None:
    sup = await start_link(JobCenterSup)
    assert_type(await Supervisor.which_children(sup), list[ChildInfo])
    assert_type(await Supervisor.count_children(sup), ChildCounts)
    assert_type(await Supervisor.which_child(sup, "job_center_serv"), ChildInfo)
    assert_type(await Supervisor.start_child(sup, child(Counter, 3)), ServerRef[Counter])


async def processes() -> None:
    assert_type(spawn(worker, "a", 1), Pid)
    pid, ref = spawn_monitor(worker, "a", 1)
    assert_type(ref, Reference)
    assert_type(monitor(pid), Reference)
    send(self_pid(), {"any": ("value", 1)})
    assert_type(await receive(Down, timeout=1.0), Down)
    await receive(lambda m: isinstance(m, Down))
    timer = send_after(1.0, pid, "any")
    assert_type(timer, TimerRef)
    assert_type(cancel_timer(timer), float | None)
    assert_type(read_timer(start_timer(1, Name("counter", Counter), "any")), float | None)
    fired = await receive(TimerFired)
    assert_type(fired.ref, TimerRef)
    assert_type(await receive(), object)


class Narrow(Counter):
    mailbox = Bounded(1000, on_full="wait", drop=Drop.OLDEST)


async def bounds(ref: ServerRef[Counter]) -> None:
    assert_type(await start_link(child(Counter, 5).with_(mailbox=Bounded(5, on_full=OnFull.FAIL))), ServerRef[Counter])
    assert_type(await start_link(child(Narrow).with_(mailbox=None)), ServerRef[Narrow])
    options = SpawnOptions(mailbox=Bounded(1, drop="newest"))
    assert_type(options.spawn(worker, "a", 1), Pid)
    assert_type(options.spawn_link(worker, "a", n=1), Pid)
    assert_type(options.spawn_monitor(worker, "a", 1), tuple[Pid, Reference])
    await send_wait(ref, "any", timeout=None)
    await send_wait(("counter", "b@localhost"), "any")


async def names(ref: ServerRef[Counter]) -> None:
    via = Via(Phonebook(), ("counter", 1), Counter)
    assert_type(await start_link(child(Counter, 5).named(via)), ServerRef[Counter])
    assert_type(await Counter.add(via, 3), int)
    Counter.reset(via)
    assert_type(whereis(via), Pid | None)
    assert_type(whereis(self_pid()), Pid)
    assert_type(whereis(("counter", "b@localhost")), Pid | tuple[str, str] | None)
    everywhere = Global("counter", Counter)
    assert_type(await start_link(child(Counter, 5).named(everywhere)), ServerRef[Counter])
    assert_type(await Counter.add(everywhere, 3), int)
    assert_type(await global_name.register("counter", self_pid(), resolve=global_name.notify_both), bool)
    assert_type(await global_name.re_register("counter", ref, resolve=lambda _name, _older, younger: younger), bool)
    assert_type(global_name.whereis("counter"), Pid | None)


class Discreet(Counter):
    def format_status(self, status: sys.Status) -> sys.Status:
        return status.hiding("value")

    async def code_change(self, old_version: object, extra: object) -> None:
        self.value = 0


def note(count: int, event: sys.Event, attributes: dict[str, Any]) -> int:
    return count + isinstance(event, sys.In)


async def looking(ref: ServerRef[Counter]) -> None:
    assert_type(await sys.get_state(ref), dict[str, Any])
    assert_type(await sys.replace_state(ref.pid, lambda state: state | {"value": 1}), dict[str, Any])
    assert_type(await sys.get_status(Name("counter", Counter).at("b@localhost")), sys.Status)
    await sys.suspend("counter")
    await sys.change_code(ref, 1, {"any": "thing"})
    await sys.resume(ref, timeout=None)
    await sys.install(ref, note, "noting", state=0)
    await sys.remove(ref, note)
    await sys.remove(ref, "noting")
    assert_type(await sys.get_log(ref), list[sys.Event])
    assert_type(await sys.get_statistics(ref), sys.Statistics | None)
    await sys.terminate(ref, Normal())


def plain(name: str, n: int = 0) -> bytes:
    return name.encode() * n


async def functions_on_other_nodes() -> None:
    await rpc.call("b@localhost", worker, "a", 1)
    assert_type(await rpc.call("b@localhost", plain, "a", 1, timeout=None), bytes)
    assert_type(await rpc.call("b@localhost", plain, "a"), bytes)
    assert_type(rpc.send_request("b@localhost", plain, "a", 1), SentRequest[bytes])
    for result in await rpc.multicall(["b@localhost"], plain, "a", 1, timeout=1):
        match result:
            case rpc.Returned(value):
                assert_type(value, bytes)
            case rpc.Failed(error):
                assert_type(error, Exception)
            case _:
                assert_never(result)
    rpc.cast("b@localhost", worker, "a", 1)


async def peers() -> None:
    async with peer.start("b@localhost", wait=False, path=["apps"], backend="trio", stop_timeout=1) as b:
        assert_type(await b.call(plain, "a", 1), bytes)
        await b.call(worker, "a", 1, timeout=None)
        assert_type(b.state, peer.State)
    server = await peer.start_link("b@localhost", config="sys.toml")
    assert_type(server, ServerRef[peer.PeerServer])
    assert_type(await peer.PeerServer.peer(server), peer.Peer)
    child(peer.PeerServer, "b@localhost", portable=["kit"]).with_(shutdown=20.0)


class WithPool(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[DynamicSupervisor]:
        return await start_link(DynamicSupervisor)


class WithPartitions(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[PartitionSupervisor[Counter]]:
        return await start_link(PartitionSupervisor, child(Counter))


class WithTree(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        return await start_link(JobCenterSup)


class WithEither(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor | DynamicSupervisor]:
        return await (start_link(JobCenterSup) if args else start_link(DynamicSupervisor))
