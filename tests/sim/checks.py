"""What holds of a cluster whatever happens to it; most of it once nothing goes on any more."""

from __future__ import annotations

import attrs

from regrow._pure.dist_app import Phase, RunsAt

from .hosts import Host
from .world import Cluster, World


def never_two_copies(cluster: Cluster, world: World) -> None:
    """But while one takes over from the other, where the configuration says that the two overlap."""
    if cluster.copies(world) > 1:
        hosts = [host for host in cluster.up(world) if host.is_active]
        names = [host.name for host in hosts]
        ends = any(host.phase is Phase.STOPPING or host.state.stop_after_start for host in hosts)
        moves = ends or any(host.state.ousting in names for host in hosts)
        assert cluster.settings.overlap and len(hosts) == 2 and moves, f"it is on {names}"


def nobody_is_stuck(cluster: Cluster, world: World) -> None:
    """Nothing is half done, and every call has returned; but a start may wait for a better node to start it first."""
    hosts = cluster.up(world)
    for host in hosts:
        state = host.state
        assert host.phase in (Phase.IDLE, Phase.RUNNING), f"{host.name} is stuck {host.phase}"
        assert state.promised is None and not state.deferred, f"{host.name} keeps a promise"
        assert state.ousting is None and state.yielding_to is None, f"{host.name} takes over, or is taken over from"
        assert not host.unmet, f"{host.name} has not met {host.unmet}"
        assert not host.stopper, f"a stop at {host.name} does not return"
        assert not host.taker, f"a takeover at {host.name} does not return"
        assert not host.starter or _waits_for_a_better_one(cluster, hosts), f"a start at {host.name} does not return"


def all_agree(cluster: Cluster, world: World) -> None:
    """Every node knows what each of the others does, and has said so to whoever started the application there."""
    hosts = cluster.up(world)
    running = [host.name for host in hosts if host.phase is Phase.RUNNING]
    for host in hosts:
        for other in hosts:
            known = other.state.mine if other is host else host.state.peer(other.name)
            same = known is not None and known == attrs.evolve(other.state.mine, stops=known.stops)
            assert same, f"{host.name} has a wrong picture of {other.name}: {known}"
        if host.state.mine.wanted and host.name not in running:
            told = host.state.told
            right = told == RunsAt(running[0]) if running else told in (None, RunsAt(None))
            assert right, f"who started it at {host.name} was told {told}"


def it_runs_if_it_can(cluster: Cluster, world: World) -> None:
    """Once, on a node that may; so one where it failed was passed over."""
    hosts = cluster.up(world)
    able = [host.name for host in hosts if host.able]
    running = [host.name for host in hosts if host.phase is Phase.RUNNING]
    assert set(running) <= set(able), f"it runs on {running}, but may on {able}"
    assert len(running) <= 1, f"it runs on {running}"
    assert running or not able or _waits_for_a_better_one(cluster, hosts), f"it runs nowhere, but may on {able}"


def it_runs_in_the_best_group(cluster: Cluster, world: World) -> None:
    """A better node takes it over when it starts it; nobody has asked for anything else by hand."""
    group_of = cluster.settings.group_of
    hosts = cluster.up(world)
    for host in hosts:
        if host.phase is Phase.RUNNING:
            better = [other.name for other in hosts if other.able and group_of(other.name) < group_of(host.name)]
            assert not better, f"it runs on {host.name}, though {better} may have it"


def _waits_for_a_better_one(cluster: Cluster, hosts: list[Host]) -> bool:
    """At first it runs on the best node that is there: once it is started on that one too."""
    first = not any(host.state.mine.opened for host in hosts if host.state.mine.wanted)
    may = [host for host in hosts if host.state.mine.permitted and host.state.mine.failed is None]
    best = min(may, key=lambda host: (cluster.settings.group_of(host.name), host.state.mine.weight, host.name))
    return first and not best.state.mine.wanted
