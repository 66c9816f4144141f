import pytest

from cluster.launcher.process_roles import DRIVER, GATEWAY, OnExit, fatal_role, role_of


@pytest.mark.parametrize(
    ("title", "name", "on_exit"),
    [
        ("/usr/bin/python -m serve_app --config x", "the Ray Serve driver", OnExit.STOP),
        ("/usr/bin/python -m uvicorn gateway.asgi:application", "the gateway", OnExit.STOP),
        ("/x/ray/core/src/ray/raylet/raylet --a", "Ray's node manager (raylet)", OnExit.STOP),
        ("/x/ray/core/src/ray/gcs/gcs_server --a", "Ray's head (gcs_server)", OnExit.STOP),
        ("ray::ServeController.listen_for_change", "the Serve controller", OnExit.RESTART),
        ("ray::ServeReplica:lesionserve:Pipeline", "a replica of Pipeline", OnExit.RESTART),
        ("/usr/bin/prometheus --config.file=/a", "Prometheus", OnExit.CONTINUE),
        ("/usr/bin/prometheus-alertmanager --config.file=/a", "Alertmanager", OnExit.CONTINUE),
        ("ray-dashboard-DataHead-0 (python)", "the Ray dashboard", OnExit.CONTINUE),
    ],
)
def test_role_is_read_from_command_line(title, name, on_exit):
    role = role_of(title)
    assert (role.name, role.on_exit) == (name, on_exit)


@pytest.mark.parametrize("title", ["ray::IDLE", "/usr/bin/python -m gateway.manage migrate"])
def test_temporary_processes_have_no_role(title):
    assert role_of(title) is None


def test_fatal_role_is_first_cause_where_several_end():
    gcs, replica = role_of("/gcs_server"), role_of("ray::ServeReplica:a:B")
    assert fatal_role([replica, gcs, DRIVER]) == DRIVER
    assert fatal_role([GATEWAY, replica]) == GATEWAY
    assert fatal_role([replica]) is None
