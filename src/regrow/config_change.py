"""A configuration that was read again: the environments go by it, and the applications that run are told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from .application_controller import ApplicationController
from .errors import ApplicationError, CallError
from .gen import request
from .reasons import Custom


async def change_config(controller: ApplicationController, configured: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Change the environments, and tell those applications that run what is different, in the order of their start.

    Returns whom it told. Raises `ApplicationError` if a `config_change` failed, once all have been told.
    """
    changes = controller.environments.configure(configured)
    told: list[str] = []
    failed: list[str] = []
    for name, application in list(controller.running.items()):
        if name in changes and application.master is not None:
            with suppress(CallError):  # it has ended meanwhile, and if it starts again it sees the new values
                went_well = await request(application.master.pid, None, (changes[name],), {}, None)
                (told if went_well else failed).append(name)
    if failed:
        why = f"config_change of {', '.join(failed)} failed, as its warning says; the new configuration counts"
        raise ApplicationError(failed[0], Custom(why))
    return told
