"""Where is jc2@localhost? In the runtime directory, if it is a node of this user; else the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ._pure.config import Address
from .local_nodes import Claim, live_nodes

LOOPBACK = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # who listens on all addresses is reached at this one


class Discovery:
    """Finds other nodes, and makes this one to be found."""

    def __init__(
        self, claim: Claim, peers: Mapping[str, Address], directory: Path | None = None, host: str = LOOPBACK
    ) -> None:
        """`host` is where the nodes of this machine listen: one configuration serves them all."""
        self._claim = claim
        self._peers = peers
        self._directory = directory
        self._host = EVERYWHERE.get(host, host)

    def publish(self, creation: int, port: int) -> None:
        """Tell the other nodes of this user where this one listens."""
        self._claim.update(creation=creation, port=port)

    def lookup(self, name: str) -> tuple[str, int] | None:
        """Host and port of a node; `None` if nobody knows it. Raises `RuntimeDirectoryError`."""
        if name in self._peers:
            address = self._peers[name]
            return address.host, address.port
        for record in live_nodes(self._directory):
            if record.name == name and record.port is not None:
                return self._host, record.port
        return None
