"""Which tests run one after the other when two processes share the suite."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and all tests that start a Ray cluster.

    A file's tests share what their fixtures start; two clusters would share two cores.
    """
    for item in items:
        group = "cluster" if item.get_closest_marker("cluster") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
