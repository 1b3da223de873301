"""The control socket of a node: one request a connection, carried out in a process, and no client can harm the node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from regrow import whereis

from .control_kit import answer_of, controlled, say_for_ever
from .process_kit import end_of, settled

# -- the conversation


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"1", "an object with a command"),
        (b'{"command": 1}', "an object with a command"),
        (b'{"command": "ps", "arguments": []}', "an object with a command"),
        (b'{"command": "dance"}', "no command 'dance'"),
        (b'{"command": "state"}', "'process' must be str"),
        (b'{"command": "ps", "arguments": {"all": "yes"}}', "'all' must be bool"),
    ],
)
async def test_what_is_no_request_is_answered_with_the_reason(tmp_path: Path, line: bytes, error: str) -> None:
    """Then the connection ends, and the next one is served."""
    async with controlled(tmp_path) as node:
        answer = await node.say(line)
        assert error in answer["error"]
        assert answer["exit"] == 2
        assert await node.ask("ps") == []


async def test_a_request_that_is_too_long_is_refused_before_it_is_read_to_its_end(tmp_path: Path) -> None:
    """A client cannot make the node keep more than that."""
    async with controlled(tmp_path) as node, await node.connect() as stream:
        with pytest.raises(anyio.BrokenResourceError):  # nobody reads on
            await say_for_ever(stream)
        assert await node.ask("ps") == []


async def test_a_client_that_says_nothing_is_dropped(tmp_path: Path) -> None:
    """It would hold a connection for ever; so would one that says half of something."""
    async with controlled(tmp_path, patience_s=0.05) as node:
        for words in (b"", b'{"command": '):
            async with await node.connect() as stream:
                if words:
                    await stream.send(words)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()


async def test_another_user_gets_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of the directory and of the modes in it."""
    async with controlled(tmp_path) as node:
        monkeypatch.setattr("regrow.control.server.is_own_user", lambda _connection: False)
        async with await node.connect() as stream:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()


async def test_a_client_that_leaves_harms_nobody(tmp_path: Path) -> None:
    """Whenever it does."""
    async with controlled(tmp_path) as node:
        for words in (b"", b"{", b'{"command": "ps"}\n'):
            async with await node.connect() as stream:
                if words:
                    await stream.send(words)
        assert await node.ask("ps") == []


async def test_more_clients_than_are_served_at_once_wait_their_turn(tmp_path: Path) -> None:
    """They are answered when others have gone."""
    async with controlled(tmp_path) as node:
        results: list[Any] = []

        async def one() -> None:
            results.append(await node.ask("ps"))

        streams = [await node.connect() for _ in range(64)]
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await settled()
            assert results == []
            for stream in streams:
                await stream.aclose()
        assert results == [[]]


async def test_halt_is_passed_on_and_the_connection_lasts_until_the_end(tmp_path: Path) -> None:
    """So that the client knows when the node is gone."""
    async with controlled(tmp_path) as node:
        stream = await node.connect()
        await stream.send(b'{"command": "halt", "arguments": {"hard": true}}\n')
        assert json.loads(await stream.receive()) == {"result": None}
        await settled()
        assert node.halts == [True]
    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
        await stream.receive()
    await stream.aclose()


async def test_a_request_to_a_node_that_has_stopped_is_refused(tmp_path: Path) -> None:
    """The socket may outlive the node by a moment."""
    async with controlled(tmp_path) as node:
        node.node.runtime.closed = True
        text, exit_code = await node.refusal("ps")
        node.node.runtime.closed = False
        assert ("has stopped" in text, exit_code) == (True, 1)


# -- expressions


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 1", "2"),
        ("node.name", "'nonode@nohost'"),
        ("[await receive() for _ in range(2)] if send(self_pid(), 1) or not send(self_pid(), 2) else 0", "[1, 2]"),
        ("application.which_applications()", "[]"),
        ("await controlled.app.ask()", "42"),
        ("controlled.goods.apple", "1"),
        ("[controlled.goods for _ in range(1)][0].apple", "1"),
        ("(lambda: controlled.goods.apple)()", "1"),
        ("type(current_node()).__name__", "'Node'"),
    ],
)
async def test_an_expression_knows_regrow_the_node_and_its_applications(
    tmp_path: Path, expression: str, result: str
) -> None:
    """It runs in a process of the node, and may await."""
    async with controlled(tmp_path) as node:
        assert await node.ask("rpc", expression=expression) == result


async def test_the_result_of_an_expression_comes_as_json_if_wanted(tmp_path: Path) -> None:
    """For programs; what JSON has no form for is shown as it prints."""
    async with controlled(tmp_path) as node:
        result = await node.ask("rpc", expression="{'a': (1, None), 'pid': self_pid()}", as_json=True)
        assert (result["a"], result["pid"][:3]) == ([1, None], "<0.")


async def test_a_result_that_cannot_be_printed_is_an_answer_too(tmp_path: Path) -> None:
    """The value is the user's, and so is the mistake in it."""
    expression = "type('Odd', (), {'__repr__': lambda self: 1 / 0})()"
    async with controlled(tmp_path) as node:
        assert await node.ask("rpc", expression=expression) == "<Odd whose repr raised ZeroDivisionError>"
        assert "ZeroDivisionError" in await node.ask("rpc", expression=expression, as_json=True)


@pytest.mark.parametrize(
    ("expression", "error", "exit_code"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero", 1),
        ("nothing", "NameError: name 'nothing' is not defined", 1),
        ("json", "NameError: name 'json' is not defined", 1),
        ("exit(3)", "SystemExit: 3", 1),
        ("await receive(timeout=0)", "TimeoutError: there is no such message", 1),
        ("1 +", "SyntaxError: invalid syntax (<rpc>, line 1)", 2),
        ("x = 1", "SyntaxError", 2),
        ("controlled.app.ask()", "write `await` before it", 1),
        ("send_exit(self_pid(), Custom('x')) or await receive()", "ended: x", 1),
    ],
)
async def test_an_expression_that_fails_is_answered_with_its_error(
    tmp_path: Path, expression: str, error: str, exit_code: int
) -> None:
    """And is no crash of the node's."""
    async with controlled(tmp_path) as node:
        text, code = await node.refusal("rpc", expression=expression)
        assert (error in text, code) == (True, exit_code), text
        assert not node.node.runtime.reports.crashes


async def test_an_error_brings_the_traceback_from_the_expression_on(tmp_path: Path) -> None:
    """Without the frames of whatever evaluated it."""
    async with controlled(tmp_path) as node:
        answer = await node.say(b'{"command": "rpc", "arguments": {"expression": "1 / 0"}}')
        assert answer["detail"].splitlines()[0].startswith("Traceback")
        assert '"<rpc>", line 1' in answer["detail"]
        assert "evaluate.py" not in answer["detail"]


async def test_an_expression_ends_with_its_client(tmp_path: Path) -> None:
    """Ctrl-C stops what one has asked for."""
    async with controlled(tmp_path) as node:
        async with await node.connect() as stream:
            request = {
                "command": "rpc",
                "arguments": {"expression": "(register('asked', self_pid()), await receive())"},
            }
            await stream.send(json.dumps(request).encode() + b"\n")
            await settled()
            asked = whereis("asked")
            assert asked is not None
        assert str(await end_of(asked)) == "killed"


async def test_an_expression_that_never_ends_ends_with_the_node(tmp_path: Path) -> None:
    """It holds up nothing."""
    async with controlled(tmp_path) as node:
        stream = await node.connect()
        await stream.send(b'{"command": "rpc", "arguments": {"expression": "await receive()"}}\n')
        await settled()
    answer = await answer_of(stream)
    assert answer["error"] == "nonode@nohost stopped before it was done"
    await stream.aclose()
