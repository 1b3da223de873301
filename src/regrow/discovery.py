"""Where is jc2@localhost? In the runtime directory, if it is a node of this user; else the configuration says."""

from __future__ import annotations

import socket
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

    def publish(self, creation: int, port: int | None) -> None:
        """Tell the other nodes of this user where this one listens; without a port, that it is up."""
        self._claim.update(creation=creation, port=port)

    def open_socket(self) -> socket.socket:
        """A listening Unix socket, by which they find this one from now on. Raises `RuntimeDirectoryError`."""
        return self._claim.listen_for_nodes()

    def lookup(self, name: str) -> Address | Path | None:
        """Where a node listens, by preference at its Unix socket; `None` if nobody knows it.

        Raises `RuntimeDirectoryError`.
        """
        if name in self._peers:
            return self._peers[name]
        for record in live_nodes(self._directory):
            if record.name == name and record.link is not None:
                return Path(record.link)
            if record.name == name and record.port is not None:
                return Address(self._host, record.port)
        return None
