"""Cancellations and timeouts that an application's callbacks let out, and scopes that they leave open."""

from __future__ import annotations

import anyio
import pytest

from regrow import ApplicationError, application, whereis

from .application_kit import Apps, Script, apps, script, started
from .process_kit import leaves_a_scope_open, lets_a_cancellation_out, lets_a_timeout_out

__all__ = ["apps", "script"]

strays = pytest.mark.parametrize(
    "stray", [lets_a_cancellation_out, lets_a_timeout_out, leaves_a_scope_open], ids=lambda stray: stray.__name__
)


@strays
async def test_in_start_it_is_a_failed_start(apps: Apps, script: Script, stray: object) -> None:
    """Not a stop that somebody had asked for; and the next start is as good as the first."""
    apps.add("a")
    async with apps.node():
        script.at("a start", stray)  # type: ignore[arg-type]
        with pytest.raises(ApplicationError) as failed:
            await application.start("a")
        assert str(failed.value.reason).startswith(("Cancelled", "TimeoutError"))
        script.actions.clear()
        script.taken()
        await application.start("a")
        assert script.taken() == started("a")


@pytest.mark.parametrize(
    ("callback", "stray"),
    [("prep_stop", lets_a_cancellation_out), ("prep_stop", lets_a_timeout_out)]
    + [("stop", stray) for stray in (lets_a_cancellation_out, lets_a_timeout_out, leaves_a_scope_open)],
)
async def test_in_the_way_of_a_stop_it_is_a_warning(
    apps: Apps, script: Script, callback: str, stray: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The application is stopped all the same, and its node lives."""
    apps.add("a")
    async with apps.node():
        await application.start("a")
        script.at(f"a {callback}", stray)  # type: ignore[arg-type]
        await application.stop("a")
        assert whereis("a_sup") is None
        assert "a worker stops" in script.log
        script.actions.clear()
        await application.start("a")
    assert f"{callback} of application a failed" in caplog.text


async def test_a_scope_that_prep_stop_leaves_open_ends_the_application_at_once(apps: Apps, script: Script) -> None:
    """The rest of its way would lie inside of that scope. Its node lives, and it can be started again."""
    apps.add("a")
    async with apps.node():
        await application.start("a")
        script.at("a prep_stop", leaves_a_scope_open)
        await application.stop("a")
        assert whereis("a_sup") is None
        assert script.taken()[-1] == "a stop"
        await application.start("a")
        assert script.taken() == started("a")
        script.actions.clear()


async def test_a_scope_that_start_leaves_open_harms_nobody(apps: Apps, script: Script) -> None:
    """It is open for as long as the application runs, and is closed with it."""

    async def leaves_open() -> None:
        anyio.CancelScope().__enter__()

    apps.add("a")
    async with apps.node():
        script.at("a start", leaves_open)
        await application.start("a")
        await application.stop("a")
        await application.start("a")
