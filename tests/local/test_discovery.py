"""Where a node is: in the records of this user's nodes, or where the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow._pure.config import Address
from regrow.discovery import Discovery
from regrow.local_nodes import Claim, claim
from regrow.runtime_directory import RuntimeDirectoryError

ELSEWHERE = {"far@h2": Address("10.0.0.2", 9100), "ben@localhost": Address("10.0.0.3", 9200)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "nodes"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def mine(folder: Path) -> Iterator[Claim]:
    with claim("ann@localhost", folder) as held:
        yield held


def test_a_node_is_found_once_it_has_published_where_it_listens(folder: Path, mine: Claim) -> None:
    """Not before: its record is there from the start, to hold its name."""
    discovery = Discovery(mine, {}, folder)
    assert discovery.lookup("ann@localhost") is None
    discovery.publish(7, 9105)
    assert discovery.lookup("ann@localhost") == Address("127.0.0.1", 9105)
    assert mine.record.creation == 7


def test_a_node_is_not_found_after_its_end(folder: Path, mine: Claim) -> None:
    """Its record goes with it."""
    discovery = Discovery(mine, {}, folder)
    with claim("cat@localhost", folder) as other:
        Discovery(other, {}, folder).publish(1, 9106)
        assert discovery.lookup("cat@localhost") == Address("127.0.0.1", 9106)
    assert discovery.lookup("cat@localhost") is None


def test_a_node_that_nobody_knows_is_not_found(folder: Path, mine: Claim) -> None:
    """Nobody is asked beyond this machine."""
    assert Discovery(mine, ELSEWHERE, folder).lookup("nobody@h2") is None


def test_what_the_configuration_says_comes_first(folder: Path, mine: Claim) -> None:
    """Someone wrote it down; and a record can only speak for this machine."""
    with claim("ben@localhost", folder) as other:
        other.update(creation=1, port=9107)
        discovery = Discovery(mine, ELSEWHERE, folder)
        assert discovery.lookup("far@h2") == Address("10.0.0.2", 9100)
        assert discovery.lookup("ben@localhost") == Address("10.0.0.3", 9200)


@pytest.mark.parametrize(
    ("listens", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("10.0.0.7", "10.0.0.7")],
)
def test_nodes_of_this_machine_are_reached_where_they_listen(
    folder: Path, mine: Claim, listens: str, reached: str
) -> None:
    """Which need not be the loopback address."""
    discovery = Discovery(mine, {}, folder, host=listens)
    discovery.publish(7, 9105)
    assert discovery.lookup("ann@localhost") == Address(reached, 9105)


def test_a_node_with_a_socket_for_nodes_is_reached_there(folder: Path, mine: Claim) -> None:
    """Whether or not it has a port as well: who knocks at the port is somewhere else."""
    discovery = Discovery(mine, {}, folder)
    with discovery.open_socket() as listening:
        discovery.publish(7, 9105)
        found = discovery.lookup("ann@localhost")
        assert found == folder / "ann@localhost.link"
        assert (mine.record.port, mine.record.link) == (9105, str(found))
        assert found.stat().st_mode & 0o777 == 0o600
        assert listening.getsockname() == str(found)
    mine.release()
    assert list(folder.iterdir()) == []


def test_records_that_others_can_get_at_are_not_believed(folder: Path, mine: Claim) -> None:
    """Somebody else could send us to a node of theirs, with a proof of our cookie to guess from."""
    mine.update(creation=7, port=9105)
    folder.chmod(0o777)
    try:
        with pytest.raises(RuntimeDirectoryError, match="others can get into"):
            Discovery(mine, {}, folder).lookup("ann@localhost")
    finally:
        folder.chmod(0o700)
