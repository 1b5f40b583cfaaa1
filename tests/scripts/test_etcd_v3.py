"""The operator's scripts on etcd's v3 API."""

import os
import subprocess
from pathlib import Path

from sandbox.cluster import Cluster
from sandbox.etcd import EtcdServer
from sandbox.process import ROOT
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


def test_an_etcd_without_the_v2_api_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd", release="3.7", api="v3") as etcd:
        env = {**os.environ, "ETCD_URL": etcd.url, "ETCD_API": "v2", "DNS_SERVER": "127.0.0.1", "DNS_PORT": "1"}
        for script in ("status.sh", "apply-topology.sh"):
            argv = ["sh", str(ROOT / "scripts" / script)]
            done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert "404" in done.stdout + done.stderr
            assert "is defined" not in done.stdout + done.stderr
