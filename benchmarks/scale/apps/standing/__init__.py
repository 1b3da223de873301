"""An application with a supervisor and no more, under each of the names that the mesh knows."""

from __future__ import annotations

from regrow import Application, ServerRef, StartType, Supervisor, start_link


class Standing(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        return await start_link(Supervisor)
