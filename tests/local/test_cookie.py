"""The cookie file: made once, private, and refused when it is not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.cookie import COOKIE_BYTES, FILE_BYTES_MAX, CookieError, read_cookie


def made(path: Path, content: bytes = b"secret", mode: int = 0o400) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CookieError) as refused:
        read_cookie(path)
    return str(refused.value)


def test_a_cookie_is_made_on_first_use(tmp_path: Path) -> None:
    """Random, for its owner to read and for nobody to write, with the folders it lies in; it stays what it is."""
    path = tmp_path / "deep" / "folder" / "cookie"
    cookie = read_cookie(path)
    assert len(bytes.fromhex(cookie.decode())) == COOKIE_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert read_cookie(path) == read_cookie(str(path)) == cookie
    assert read_cookie(tmp_path / "other") != cookie


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """The draft is gone."""
    read_cookie(tmp_path / "cookie")
    assert [path.name for path in tmp_path.iterdir()] == ["cookie"]


def test_the_home_directory_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_cookie("~/.regrow.cookie") == (tmp_path / ".regrow.cookie").read_bytes()


def test_a_home_directory_that_nobody_has_is_an_error() -> None:
    """Not a file of that name here."""
    with pytest.raises(CookieError, match="~nobody-at-all"):
        read_cookie("~nobody-at-all/cookie")


@pytest.mark.parametrize("content", [b"secret", b"  secret\n", b"secret\r\n"])
def test_the_white_space_around_a_cookie_does_not_count(tmp_path: Path, content: bytes) -> None:
    """Editors end a file with a line's end."""
    assert read_cookie(made(tmp_path / "cookie", content)) == b"secret"


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_for_its_owner_alone_is_accepted(tmp_path: Path, mode: int) -> None:
    """Whether they may write it is their affair."""
    assert read_cookie(made(tmp_path / "cookie", mode=mode)) == b"secret"


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o420, 0o401])
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    """It is no secret; the file stays as it is."""
    path = made(tmp_path / "cookie", mode=mode)
    assert refusal(path) == f"others can read cookie file {path}: its mode is {mode:04o}, not 0400"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can read it, whatever its mode."""
    path = made(tmp_path / "cookie")
    os.chown(path, 4321, -1) if os.geteuid() == 0 else monkeypatch.setattr("os.geteuid", lambda: 4321)
    assert "belongs to another user" in refusal(path)


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty cookie would let everybody in."""
    assert refusal(made(tmp_path / "cookie", content)) == f"cookie file {tmp_path / 'cookie'} is empty"


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """It is something else."""
    assert read_cookie(made(tmp_path / "just", b"x" * FILE_BYTES_MAX)) == b"x" * FILE_BYTES_MAX
    assert "is no cookie file" in refusal(made(tmp_path / "more", b"x" * (FILE_BYTES_MAX + 1)))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe would otherwise be waited for, for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert refusal(pipe) == f"cookie file {pipe} is no file"
    assert refusal(tmp_path) == f"cookie file {tmp_path} is no file"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With the reason."""
    (tmp_path / "file").write_text("")
    assert "file/cookie cannot be made: File exists" in refusal(tmp_path / "file" / "cookie")


def test_a_symbolic_link_is_followed_and_what_it_leads_to_is_checked(tmp_path: Path) -> None:
    """Secrets are often mounted elsewhere; the mode of a link says nothing."""
    (tmp_path / "link").symlink_to(made(tmp_path / "cookie"))
    assert read_cookie(tmp_path / "link") == b"secret"
    (tmp_path / "open").symlink_to(made(tmp_path / "public", mode=0o444))
    assert "others can read" in refusal(tmp_path / "open")


def test_a_symbolic_link_to_nothing_makes_nothing(tmp_path: Path) -> None:
    """Who laid it may want the cookie in a place of their own."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "link cannot be read: No such file or directory" in refusal(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert "round cannot be read" in refusal(tmp_path / "round")


READ = """
import sys
from regrow.cookie import read_cookie
sys.stdin.readline()
print(read_cookie(sys.argv[1]).decode(), flush=True)
"""


def test_nodes_that_start_together_get_the_same_cookie(tmp_path: Path) -> None:
    """One of them makes it; none reads half of it."""
    command = [sys.executable, "-c", READ, str(tmp_path / "cookie")]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
    found = {reader.communicate()[0] for reader in readers}
    assert found == {(tmp_path / "cookie").read_text() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["cookie"]


def test_a_cookie_that_another_node_has_just_made_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the making of ours."""
    path = made(tmp_path / "cookie", b"theirs")
    monkeypatch.setattr("os.path.lexists", lambda _: False)
    assert read_cookie(path) == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["cookie"]
