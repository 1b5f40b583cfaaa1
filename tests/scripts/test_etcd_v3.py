"""The operator's scripts on etcd's v3 API."""

from pathlib import Path

from sandbox.cluster import Cluster
from tests.scripts.conftest import scripts_of, settle


def test_define_apply_status_switch_and_pause_work_alike(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", api="v3") as cluster:
        script = scripts_of(cluster)
        settle(script, cluster, "core-01")
        switched = script("switch-master.sh", "core-02")
        assert switched.returncode in (0, 2), switched.stderr
        assert cluster.nodes["core-02"].redis.client().role()[0] == "master"
        assert script("pause.sh", "new switches").returncode == 0
        assert "already paused since" in script("pause.sh").stderr
        assert "! since" in script("status.sh").stdout
        assert "new switches" in script("switch-master.sh", "core-03").stderr
        assert script("pause.sh", "--resume").returncode in (0, 2)
        assert "not paused" in script("pause.sh", "--resume").stderr
