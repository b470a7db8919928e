import pytest

from tests.bad_input import doors


@pytest.fixture
def door(request):
    """The door named by the parameter; every door that takes a body where none is named."""
    return doors.open_door(request.param)


def pytest_generate_tests(metafunc):
    if "door" in metafunc.fixturenames and not any(
        "door" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("door", doors.DOORS, indirect=True)
