"""What can be said of the units without running them: systemd's own check, fleet's rules, and ours."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import dictator.settings
import dnsd.settings
import registrar.settings
import topology_observer.settings as observer
from safe_redis import __version__
from sandbox.etcd import EtcdServer
from sandbox.keys_v3 import KeysV3
from sandbox.process import ROOT
from tests.units import fleet

UNITS = {path.stem.removeprefix("redis-1-"): path for path in sorted((ROOT / "units").iterdir())}
GLOBAL = {"node", "node-config", "node-data", "registrar"}
VOLUMES = {"node-config", "node-data"}
PUBLISHED = {"node", "dictator", "dnsd"}

each_unit = pytest.mark.parametrize("name", UNITS)


def options(name: str) -> tuple[fleet.Option, ...]:
    return fleet.parse(UNITS[name].read_text(encoding="utf-8"))


def values(name: str, option: str) -> list[str]:
    return [line.value for line in options(name) if line.name == option]


def value(name: str, option: str) -> str:
    (only,) = values(name, option)
    return only


def commands(name: str) -> list[tuple[str, str]]:
    return [(option.name, option.value) for option in options(name) if option.name.startswith("Exec")]


def test_there_are_these_units() -> None:
    assert set(UNITS) == GLOBAL | {"dictator", "dnsd", "topology-observer"}


def verify(folder: Path, unit: str) -> str:
    """What systemd has to say of a unit of the folder; what this machine lacks, docker above all, is left aside."""
    (folder / "docker.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    for path in folder.iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("/usr/bin/docker", "/bin/true"), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(folder / unit)],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    # it has its say of other units of the machine, too
    said = "\n".join(line for line in verified.stderr.splitlines() if unit in line)
    return said or ("" if verified.returncode == 0 else verified.stderr)


@each_unit
def test_systemd_finds_nothing_to_say(name: str, tmp_path: Path) -> None:
    for path in UNITS.values():
        shutil.copy(path, tmp_path)
    assert verify(tmp_path, UNITS[name].name) == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Restrat=always", "Unknown key"),
        ("Restart=sometimes", "Failed to parse"),
        ("ExecStop=docker-which-is-not-here stop", "is not executable"),
    ],
)
def test_systemd_finds_what_is_wrong(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "redis-1-test.service").write_text(f"[Service]\nExecStart=/bin/true\n{line}\n", encoding="utf-8")
    assert said in verify(tmp_path, "redis-1-test.service")


@each_unit
def test_fleet_takes_it(name: str) -> None:
    assert fleet.problems(options(name)) == ()


@pytest.mark.parametrize(
    ("unit", "problem"),
    [
        ("[X-Fleet]\nGlobal=true\nMachineOf=a.service\n", "MachineOf can't be used with Global"),
        ("[X-Fleet]\nGlobal=true\nMachineID=1234\n", "MachineID can't be used with Global"),
        ("[X-Fleet]\nGlobal=true\nReplaces=a.service\n", "Replaces can't be used with Global"),
        ("[X-Fleet]\nMetadata=hosts=redis-1\n", "fleet knows no Metadata"),
        ("[X-Fleet]\nMachineMetadata=redis-1\n", "MachineMetadata=redis-1 is passed over: not of the form key=value"),
        ("[X-Fleet]\nMachineMetadata=hosts=\n", "MachineMetadata=hosts= is passed over: not of the form key=value"),
        (
            "[Install]\nWantedBy=multi-user.target\n",
            "[Install] lets systemd start the unit at boot, without fleet, which then loses its state",
        ),
    ],
)
def test_fleets_rules_refuse_what_fleet_refuses(unit: str, problem: str) -> None:
    assert fleet.problems(fleet.parse(unit)) == (problem,)


@pytest.mark.parametrize(
    "unit",
    [
        "[X-Fleet]\nMachineOf=a.service\nConflicts=b.service\n",
        "[X-Fleet]\nGlobal=true\nMachineMetadata=hosts=redis-1\nConflicts=b.service\n",
    ],
)
def test_fleets_rules_take_what_fleet_takes(unit: str) -> None:
    assert fleet.problems(fleet.parse(unit)) == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ExecStart=/bin/echo a\\tb", "a backslash that isn't the end"),
        ("ExecStart=/bin/echo a \\\n# why\n b", "a comment within a continued line"),
        ("# see C:\\", "the comment goes on"),
        ("ExecStart", "neither a section, a comment nor an option"),
        ("ExecStart=/bin/echo " + "a" * 2048, "2048 are allowed"),
    ],
)
def test_fleets_parser_refuses_what_it_would_misread(line: str, message: str) -> None:
    with pytest.raises(fleet.UnitError, match=re.escape(message)):
        fleet.parse(f"[Service]\n{line}\n")


@each_unit
def test_fleet_writes_the_same_options_to_the_host(name: str) -> None:
    assert fleet.parse(fleet.written(options(name))) == options(name)


@each_unit
def test_is_for_the_hosts_of_the_cluster(name: str) -> None:
    more = ["registrar=redis-1"] if name == "registrar" else []
    assert values(name, "MachineMetadata") == ["hosts=redis-1", *more]
    assert values(name, "Global") == (["true"] if name in GLOBAL else [])


@each_unit
def test_has_one_main_process_that_it_can_stop(name: str) -> None:
    main, stop = value(name, "ExecStart"), value(name, "ExecStop")
    assert not re.search(r"\s(-d|--detach)\b", main)
    assert "docker stop" in stop
    # longer than docker waits, or systemd kills the command that waits
    grace = re.search(r"--time (\d+)", stop)
    if name not in VOLUMES:
        assert grace
        assert int(grace.group(1)) < int(value(name, "TimeoutStopSec"))


@each_unit
def test_is_retried_without_limit(name: str) -> None:
    assert value(name, "StartLimitIntervalSec") == "0"
    # systemd before 244 refuses a oneshot unit with Restart=; the node's retries start those again
    assert values(name, "Restart") == ([] if name in VOLUMES else ["always"])
    assert values(name, "RestartSec") == ([] if name in VOLUMES else ["2"])


def test_volumes_end_active() -> None:
    for name in VOLUMES:
        assert (value(name, "Type"), value(name, "RemainAfterExit")) == ("oneshot", "yes")


def test_node_waits_for_its_volumes_without_requiring_them() -> None:
    for option in ("Wants", "After"):
        assert {f"redis-1-{volume}.service" for volume in VOLUMES} <= set(value("node", option).split())
    assert values("node", "Requires") == []


@each_unit
def test_commands_are_named_by_their_paths(name: str) -> None:
    # systemd before 239 takes no others
    assert [command for _, command in commands(name) if not re.match(r"-?/(usr/)?bin/\w", command)] == []


@each_unit
def test_pulls_its_image_if_it_can(name: str) -> None:
    variable = "NODE_IMAGE" if name.startswith("node") else f"{name.upper().replace('-', '_')}_IMAGE"
    image = "node" if name.startswith("node") else name
    assert f"{variable}=safe-redis/{image}:{__version__}" in values(name, "Environment")
    pulls = [command for command in values(name, "ExecStartPre") if "docker pull" in command]
    # the node's has been pulled by its volumes' units
    assert len(pulls) == (0 if name == "node" else 1)
    for pull in pulls:
        assert re.fullmatch(rf"-/usr/bin/timeout \d+ /usr/bin/docker pull \$\{{{variable}\}}", pull)


@each_unit
def test_site_overrides_the_defaults(name: str) -> None:
    files = values(name, "EnvironmentFile")
    assert files[-1] == "-/etc/redis-1.env"
    assert files[:-1] == ([] if name in VOLUMES else ["/etc/environment"])
    names = [option.name for option in options(name)]
    assert max(i for i, n in enumerate(names) if n == "Environment") < names.index("ExecStartPre")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_is_published_and_registered_under_its_name(name: str) -> None:
    main = value(name, "ExecStart").replace("$$COREOS_PRIVATE_IPV4", "${COREOS_PRIVATE_IPV4}").replace('"', "")
    assert "--name %p " in main
    if name == "node":
        assert "--publish ${COREOS_PRIVATE_IPV4}::6379 " in main
        assert "--env SERVICE_NAME=redis-1 --env SERVICE_ID=$$(echo %H | tr A-Z a-z) " in main
    else:
        assert "--publish ${COREOS_PRIVATE_IPV4}::8080 " in main
        assert "--env SERVICE_NAME=%p " in main
        assert "SERVICE_ID" not in main


def switch_auth_on(etcd: EtcdServer, password: str) -> None:
    """From now on only root writes."""
    if isinstance(etcd.keys, KeysV3):
        etcd.keys.call("auth/user/add", {"name": "root", "password": password})
        etcd.keys.call("auth/role/add", {"name": "root"})
        etcd.keys.call("auth/user/grant", {"user": "root", "role": "root"})
        etcd.keys.call("auth/enable", {})
    else:
        auth(etcd, "PUT", "users/root", data=json.dumps({"user": "root", "password": password}))
        auth(etcd, "PUT", "enable")
        guest = {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}
        auth(etcd, "PUT", "roles/guest", f"root:{password}", json.dumps(guest))


def switch_auth_off(etcd: EtcdServer, password: str) -> None:
    """Everybody may do everything again."""
    if isinstance(etcd.keys, KeysV3):
        token = etcd.keys.call("auth/authenticate", {"name": "root", "password": password})["token"]
        etcd.keys.call("auth/disable", {}, token=token)
    else:
        auth(etcd, "DELETE", "enable", f"root:{password}")


def auth(etcd: EtcdServer, method: str, path: str, user: str = "", data: str = "") -> None:
    """A request to etcd's v2 API of users."""
    options = [*(["--user", user] if user else []), *(["--data", data] if data else [])]
    json_type = ("-H", "Content-Type: application/json")
    subprocess.run(
        ["curl", "-fsS", "-X", method, *json_type, *options, f"{etcd.url}/v2/auth/{path}"], check=True, timeout=60
    )


@pytest.mark.parametrize("name", sorted(PUBLISHED))
@pytest.mark.parametrize("api", ["v2", "v3"])
@pytest.mark.parametrize("access", ["open", "password"])
def test_writes_the_trigger_once_it_runs(name: str, api: str, access: str, tmp_path: Path) -> None:
    (shell, option, script) = shlex.split(value(name, "ExecStartPost").replace("$$", "$"))
    for specifier, text in {"%p": f"redis-1-{name}", "%H": "core-01", "%%": "%"}.items():
        script = script.replace(specifier, text)
    password = "it's 1$ (or 2)"
    (tmp_path / "password").write_text(f"{password}\n")
    with EtcdServer(tmp_path / "etcd", api=api) as etcd:
        env = {"PATH": os.environ["PATH"], "MAINPID": str(os.getpid()), "ETCD_PEERS": etcd.url, "ETCD_API": api}
        if access == "password":
            switch_auth_on(etcd, password)
            env |= {"ETCD_USERNAME": "root", "ETCD_PASSWORD_FILE": str(tmp_path / "password")}
        subprocess.run([shell, option, script], env=env, check=True, timeout=60)
        if access == "password":
            switch_auth_off(etcd, password)
        written = etcd.keys.get("/config/redis-1/topology-trigger")
    assert written is not None
    assert re.fullmatch(rf"redis-1-{name} on core-01 \d{{4}}-\d\d-\d\dT[\d:]+Z", written)


@pytest.mark.parametrize("name", sorted(set(UNITS) - PUBLISHED))
def test_writes_no_trigger_where_nothing_is_new(name: str) -> None:
    assert values(name, "ExecStartPost") == []


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dictator", ("cluster", *dictator.settings.Settings.__struct_fields__)),
        ("dnsd", dnsd.settings.Settings.__struct_fields__ + dnsd.settings.StoreSettings.__struct_fields__),
        (
            "registrar",
            registrar.settings.Settings.__struct_fields__ + registrar.settings.StoreSettings.__struct_fields__,
        ),
        (
            "topology-observer",
            observer.Settings.__struct_fields__ + observer.StoreSettings.__struct_fields__,
        ),
    ],
)
def test_every_setting_of_the_program_can_be_set_by_the_site(name: str, fields: tuple[str, ...]) -> None:
    passed = set(re.findall(r"--env ([A-Z0-9_]+)", value(name, "ExecStart"))) - {"SERVICE_NAME"}
    # where it listens, and shows that it lives, inside its container is the image's affair
    assert passed == {field.upper() for field in fields} - {"BIND", "PORT", "HEARTBEAT"}
