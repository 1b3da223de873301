"""The mailbox: one queue, one who waits, and closed for good when its process ends."""

from __future__ import annotations

import anyio
import pytest

from regrow._backends import running_backend
from regrow.mailbox import Mailbox

from .process_kit import settled


def a_mailbox() -> Mailbox:
    return Mailbox(running_backend())


async def wait_for(mailbox: Mailbox) -> None:
    await mailbox.wait()


async def test_both_lanes_share_one_queue_in_order_of_arrival() -> None:
    """A lane says what a bound may drop, not when a message is seen."""
    mailbox = a_mailbox()
    mailbox.post("a")
    mailbox.post_system("b")
    mailbox.post("c")
    assert list(mailbox.queue) == ["a", "b", "c"]


async def test_the_waiting_task_is_woken_by_a_message() -> None:
    """Once, whichever lane it came by."""
    mailbox, woken = a_mailbox(), list[int]()

    async def wait() -> None:
        await mailbox.wait()
        woken.append(len(mailbox.queue))

    for post in (mailbox.post, mailbox.post_system):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settled()
            assert len(woken) == len(mailbox.queue) / 2
            post(1)
            post(2)
    assert woken == [2, 4]


async def test_wait_is_for_what_comes_after_it_began() -> None:
    """What is in the queue already is to be looked at before."""
    mailbox = a_mailbox()
    mailbox.post("old")
    with anyio.move_on_after(0):
        await mailbox.wait()
        pytest.fail("woken by an old message")


async def test_wake_lets_the_waiting_task_look_again() -> None:
    """As when its time is up; with nobody waiting it does nothing."""
    mailbox = a_mailbox()
    mailbox.wake()
    async with anyio.create_task_group() as group:
        group.start_soon(wait_for, mailbox)
        await settled()
        mailbox.wake()
        mailbox.wake()
    assert not mailbox.queue


async def test_a_cancelled_wait_leaves_the_mailbox_ready_for_the_next() -> None:
    """Nobody is woken in vain, and no message is lost."""
    mailbox = a_mailbox()
    for post_first in (True, False):
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for, mailbox)
            await settled()
            if post_first:
                mailbox.post(post_first)
            group.cancel_scope.cancel()
            if not post_first:
                mailbox.post(post_first)
    assert list(mailbox.queue) == [True, False]
    async with anyio.create_task_group() as group:
        group.start_soon(wait_for, mailbox)
        await settled()
        mailbox.post("next")


async def test_after_a_cancelled_wait_another_task_may_wait() -> None:
    """Also if nothing was posted in between."""
    mailbox = a_mailbox()
    for _ in range(2):
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for, mailbox)
            await settled()
            group.cancel_scope.cancel()


async def test_a_second_task_that_waits_is_refused() -> None:
    """Rather than one of them never woken."""
    mailbox = a_mailbox()
    async with anyio.create_task_group() as group:
        group.start_soon(wait_for, mailbox)
        await settled()
        with pytest.raises(RuntimeError, match="already waiting"):
            await mailbox.wait()
        mailbox.wake()


async def test_a_closed_mailbox_is_empty_and_takes_nothing() -> None:
    """No message is handled after the end has begun, whichever lane it came by."""
    mailbox = a_mailbox()
    mailbox.post("a")
    mailbox.close()
    mailbox.post("b")
    mailbox.post_system("c")
    assert not mailbox.queue
    assert mailbox.closed


async def test_take_removes_what_is_wanted_and_keeps_the_rest_in_order() -> None:
    """For flushing: all that fit, in one step."""
    mailbox = a_mailbox()
    for message in range(6):
        mailbox.post(message)
    queue = mailbox.queue
    assert mailbox.take(lambda message: message in (1, 4)) == [1, 4]
    assert list(queue) == [0, 2, 3, 5]
    assert mailbox.take(lambda _message: False) == []
    assert mailbox.take(lambda _message: True) == [0, 2, 3, 5]
    assert not queue
