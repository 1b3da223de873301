"""What holds for every test: it runs on both loops, and leaves nothing behind."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from regrow.reports import KIND, LOGGER, BlockReport
from tests.harness.leaks import Watch, name_of, tasks

pytest_plugins = ["tests.harness.conformance", "tests.local.soak_kit"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--otp-scenarios", type=int, default=500, help="scenarios played side by side with Erlang/OTP")
    parser.addoption("--soak-events", type=int, help="how many events each soak has on each loop; with a random seed")
    parser.addoption("--soak-seed", type=int, help="the seed that a failure printed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak-events") is not None:
        for item in items:
            item.add_marker(pytest.mark.timeout(0))  # as long as it was asked to


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The loop a test runs on: each on its own, and every asynchronous test on both."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _meets_no_strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On this machine there may be nodes of the same names and a cookie: the developer's own, or of another run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGROW_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _logs_nothing_of_a_slow_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where others work on the machine the watchdog has something to say, and some tests count what is logged."""

    def is_of_the_test(record: logging.LogRecord) -> bool:
        return getattr(record, KIND, None) != BlockReport.kind or "watchdog" in request.node.nodeid

    LOGGER.addFilter(is_of_the_test)
    yield
    LOGGER.removeFilter(is_of_the_test)


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> None:
    """No task, process, name, timer, descriptor or thread outlives the test that made it."""
    asynchronous = "anyio_backend" in request.fixturenames
    request.getfixturevalue("_leaves_no_task" if asynchronous else "_leaves_no_process")


@pytest.fixture
def _leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    watch = Watch(monkeypatch)
    yield
    left = watch.left()
    assert not left, f"the test left behind: {', '.join(left)}"


# Depends on the other, so as to be over, and the loop with it, before that one looks.
@pytest.fixture
async def _leaves_no_task(_leaves_no_process: None, anyio_backend_name: str) -> AsyncIterator[None]:
    before = tasks(anyio_backend_name)
    yield
    left = sorted(map(name_of, tasks(anyio_backend_name) - before))
    assert not left, f"the test left tasks behind: {', '.join(left)}"
