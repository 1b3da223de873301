"""What both checkers reject: each line with a number in its comment, and no other."""

from __future__ import annotations

from regrow import (
    Application,
    Bounded,
    Deferred,
    DynamicSupervisor,
    GenServer,
    Global,
    Name,
    PartitionSupervisor,
    ServerRef,
    SpawnOptions,
    StartType,
    Supervisor,
    Via,
    call,
    cancel_timer,
    cast,
    child,
    global_name,
    make_ref,
    peer,
    rpc,
    send_wait,
    spawn,
    start_link,
    sys,
)
from tests.typing.accepted import Counter, JobCenterSup, Phonebook, Sub, plain, worker


async def main() -> None:
    ref = await start_link(Counter, 5)
    sup = await start_link(JobCenterSup)
    await Counter.add(sup, 3)  # 1 wrong reference
    await Counter.add(ref, "3")  # 2 wrong argument
    await Counter.add(ref)  # 3 missing argument
    await Counter.reset(ref)  # 4 awaiting a cast
    _x: str = await Counter.add(ref, 3)  # 5 wrong reply type
    await Sub.add(ref, 3)  # 6 handler of a subclass on a reference to the base
    await start_link(Counter, "5")  # 7 wrong constructor argument
    child(Counter, "5")  # 8 wrong constructor argument in a specification
    child(Counter).with_(restart="always")  # 9 wrong literal
    await Supervisor.which_children(ref)  # 10 not a supervisor
    Counter.add(ref, 3)  # 11 forgotten await
    await Counter.add(Name("x", JobCenterSup), 3)  # 12 name of another class
    _s: ServerRef[Sub] = ref  # 13 a base is not its subclass
    await start_link(child(Counter, 5), 7)  # 14 arguments beside a specification
    await Counter.plain(ref, "1")  # 15 wrong argument of a plain handler
    await start_link(int, 5)  # 16 not a behaviour


class Sub2(Counter):
    @call
    async def add(self, n: str) -> int:  # 17 incompatible override
        return 1


class AsyncCastWithReply(GenServer):
    @cast
    async def c(self) -> int:  # 18 a cast has no reply
        return 1


def wrong_deferred() -> None:
    Deferred[int]().set("x")  # 19 wrong deferred reply


def wrong_spawn() -> None:
    spawn(worker, 1, "a")  # 20 wrong arguments of a process


async def wrong_calls(ref: ServerRef[Counter]) -> None:
    await Counter.add.within_deadline()(ref, "3")  # 21 wrong argument within a deadline


async def wrong_names(ref: ServerRef[Counter]) -> None:
    await Counter.add(Via(Phonebook(), "x", JobCenterSup), 3)  # 22 via name of another class
    Via(object(), "x", Counter)  # 23 not a registry
    await Counter.add(Global("x", JobCenterSup), 3)  # 24 global name of another class
    await global_name.register("x", ref, resolve=lambda name: None)  # 25 a resolver takes two pids as well


class NoOrder(DynamicSupervisor):
    strategy = "one_for_all"  # 26 a dynamic supervisor knows no other strategy


async def wrong_children(jobs: ServerRef[DynamicSupervisor]) -> None:
    await Supervisor.which_children(jobs)  # 27 another kind of supervisor
    await DynamicSupervisor.start_child(jobs, Counter)  # 28 a class is no specification
    await DynamicSupervisor.terminate_child(jobs, "Counter")  # 29 there are no ids
    _r: ServerRef[Sub] = await DynamicSupervisor.start_child(jobs, child(Counter, 3))  # 30 another class


async def wrong_requests(ref: ServerRef[Counter]) -> None:
    Counter.add.send_request(ref, "3")  # 31 wrong argument of a request
    await Counter.add.send_request(ref, 3)  # 32 awaiting a request rather than its reply
    _y: str = await Counter.add.send_request(ref, 3).wait()  # 33 wrong reply type of a request


def wrong_timer() -> None:
    cancel_timer(make_ref())  # 34 a reference of something else


async def wrong_partitions(sup: ServerRef[Supervisor], counters: ServerRef[PartitionSupervisor[Counter]]) -> None:
    PartitionSupervisor.partition(sup, 1)  # 35 a supervisor without partitions
    await Sub.add(PartitionSupervisor.partition(counters, 1), 3)  # 36 partitions of another class
    await start_link(PartitionSupervisor, Counter)  # 37 a class is no specification
    PartitionSupervisor.resize(counters, 3)  # 38 forgotten await


async def wrong_many() -> None:
    await Counter.add.multi_call(["a@localhost"], Name("x", Counter), "3")  # 39 wrong argument for many nodes
    await Counter.add.multi_call(None, Name("x", JobCenterSup), 3)  # 40 name of another class on many nodes
    await Counter.reset.abcast(None, Name("x", Counter))  # 41 awaiting a cast to many nodes
    Counter.add.multi_call(None, Name("x", Counter), 3)  # 42 forgotten await of many replies


async def wrong_looking(ref: ServerRef[Counter]) -> None:
    sys.suspend(ref)  # 43 forgotten await
    await sys.replace_state(ref, lambda state: 5)  # 44 no state
    await sys.install(ref, "noting")  # 45 no function
    await sys.get_state(5)  # 46 no address


async def wrong_functions() -> None:
    await rpc.call("b@localhost", worker, 1, "a")  # 47 wrong arguments of a function
    await rpc.cast("b@localhost", worker, "a", 1)  # 48 awaiting a cast to a node
    _n: int = await rpc.call("b@localhost", plain, "a", 1)  # 49 wrong result of a function


def wrong_peers() -> None:
    peer.start("b@localhost", backend="curio")  # 50 a loop that there is not
    child(peer.PeerServer, "b@localhost", confg="sys.toml")  # 51 a misspelt option of a peer


class WrongBound(GenServer):
    mailbox = 1000  # 52 a number is no bound


async def wrong_bounds(ref: ServerRef[Counter]) -> None:
    Bounded(1000, on_full="drop")  # 53 wrong literal of a bound
    child(Counter).with_(mailbox=1000)  # 54 a number is no bound in a specification
    SpawnOptions(mailbox=Bounded(1)).spawn(worker, 1, "a")  # 55 wrong arguments of a process with options
    send_wait(ref, "any")  # 56 forgotten await of a message


class WithoutTree(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Counter]:  # 57 no supervisor
        return await start_link(Counter)
