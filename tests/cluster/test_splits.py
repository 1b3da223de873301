"""Cables that are cut: what the two sides do, and what becomes of it when they meet again."""

from __future__ import annotations

import pytest

from regrow import Failover, NormalStart, application
from tests.harness import row

from .dist_kit import COPIES, LOG, A, B, C, Sharing, known, phase, seen, started
from .kit import reported

OUR_RULE = "each side runs it, as in OTP; when they meet again one copy goes on and the other is stopped in order"


@row("DAP-026", deviation=OUR_RULE)
async def test_in_a_split_each_side_runs_it_and_afterwards_the_better_node_alone(sharing: Sharing) -> None:
    """The other copy is stopped in order, and its side stands by again; nothing is started anew."""
    async with sharing.node(A) as a, sharing.node(B) as b, sharing.node(C) as c:
        await started(a, b, c)
        for other in (B, C):
            sharing.network.cut(A, other)
        await reported(lambda: (phase(a), phase(b), seen(c).runs_at) == ("running", "running", B))
        assert sorted(COPIES) == [("one", A), ("one", B)]
        for other in (B, C):
            sharing.network.heal(A, other)
        await reported(lambda: COPIES == [("one", A)])
        await reported(lambda: [(phase(node), seen(node).runs_at) for node in (b, c)] == [("standby", A)] * 2)
        assert [("one", A, NormalStart()), ("one", B, Failover(A))] == LOG


@row("DAP-026", deviation=OUR_RULE)
async def test_of_two_copies_the_one_on_the_better_node_stays_whichever_is_older(sharing: Sharing) -> None:
    """Also where an operator had moved it: the nodes can't know which of the two is worth more."""
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        with b.current():
            await application.takeover("one")
        await reported(lambda: seen(a).runs_at == B)
        sharing.network.cut(A, B)
        await reported(lambda: sorted(COPIES) == [("one", A), ("one", B)])
        assert LOG[-1] == ("one", A, Failover(B))
        sharing.network.heal(A, B)
        await reported(lambda: COPIES == [("one", A)])
        await reported(lambda: (phase(b), seen(b).runs_at) == ("standby", A))


async def test_nodes_that_meet_late_keep_the_better_copy(sharing: Sharing) -> None:
    """B8: started apart, before they have ever met, they find two copies."""
    sharing.network.cut(A, B)
    async with sharing.node(A) as a, sharing.node(B) as b:
        for node in (a, b):
            with node.current():
                await application.start("one")
        assert sorted(COPIES) == [("one", A), ("one", B)]
        sharing.network.heal(A, B)
        await reported(lambda: COPIES == [("one", A)])
        await reported(lambda: (phase(b), seen(b).runs_at) == ("standby", A))


@row("DAP-026", deviation=OUR_RULE)
@pytest.mark.parametrize("both", [True, False], ids=["all", "one of two"])
async def test_a_blip_of_the_connection_starts_nothing(sharing: Sharing, both: bool) -> None:
    """B10: back before the wait is over, the one that runs goes on, and it is the only one."""
    async with (
        sharing.node(A, wait_s=30.0) as a,
        sharing.node(B, wait_s=30.0) as b,
        sharing.node(C, wait_s=30.0) as c,
    ):
        await started(a, b, c)
        others = (B, C) if both else (B,)
        for other in others:
            sharing.network.cut(A, other)
        await reported(lambda: not known(a, b))
        for other in others:
            sharing.network.heal(A, other)
        await reported(lambda: known(a, b, c))
        await reported(lambda: not any(node.distribution.shared["one"].state.waiting for node in (b, c)))  # type: ignore[union-attr]
        assert [("one", A, NormalStart())] == LOG
        assert (phase(b), seen(b).runs_at) == ("standby", A)
