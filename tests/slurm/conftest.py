"""One Slurm of two nodes for all tests of a process, `make test-slurm`."""

from collections.abc import Iterator

import pytest

from tests.slurm import cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[cluster.Cluster]:
    """Two nodes of two processors each; skips where no Slurm can be started."""
    if why := cluster.missing():
        pytest.skip(why)
    with cluster.start(nodes=2) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves jobs to the next, nor a node down."""
    yield
    if "slurm" in request.fixturenames:
        running = request.getfixturevalue("slurm")
        running.run("scancel", "--state=PENDING", "--user=root")
        running.run("scancel", "--user=root")
        running.resume(*running.nodes)
        running.wait(lambda: not running.jobs())
