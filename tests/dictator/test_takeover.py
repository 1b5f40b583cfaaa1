"""One run, one connection: of two dictators only the one that took over last can change an instance."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
import redis

from dictator.instance import Instance
from dictator.link import NoAnswer, NotAllowed
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from dictator.takeover import NAME
from sandbox.binaries import FLAVOURS
from sandbox.process import wait_until
from sandbox.proxy import Conversation, Proxy
from sandbox.redis import RedisServer

PATIENCE = 30.0
Start = Callable[..., RedisServer]
MakeRuntime = Callable[..., RedisRuntime]
RULE = "on >secret ~* &* +@all"


@pytest.fixture
def runtime() -> Iterator[MakeRuntime]:
    """Makes runtimes, and closes them."""
    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:

        def make(**options: Any) -> RedisRuntime:
            return stack.enter_context(RedisRuntime(Settings(**options), pool))

        yield make


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest, start_redis: Start) -> RedisServer:
    """One of each flavour."""
    return start_redis(flavour=request.param)


def place(server: RedisServer | Proxy) -> Instance:
    return Instance("core-01", server.host, server.port)


def write(runtime: RedisRuntime, instance: Instance, value: str) -> Any:
    (reply,) = runtime.link(instance).send(("SET", "key", value))
    return reply


def names(server: RedisServer, **login: Any) -> list[str]:
    with closing(server.client(**login)) as client:
        return [connection["name"] for connection in client.client_list()]


def test_ends_the_connection_of_the_one_before_for_good(server: RedisServer, runtime: MakeRuntime) -> None:
    first, second = runtime(), runtime()
    assert first.take_over([place(server)]) == {}
    assert write(first, place(server), "first") == "OK"
    assert second.take_over([place(server)]) == {}
    for _ in range(3):
        with pytest.raises(NoAnswer):
            write(first, place(server), "late")
    assert write(second, place(server), "second") == "OK"
    assert names(server).count(NAME) == 1
    with pytest.raises(NoAnswer, match=r"core-01 .* the instance went away, or another dictator took over"):
        first.link(place(server)).send(("PING",))


def test_does_not_reopen_a_connection_to_an_instance_that_restarted(server: RedisServer, runtime: MakeRuntime) -> None:
    acting = runtime()
    acting.take_over([place(server)])
    server.restart()
    for _ in range(3):
        with pytest.raises(NoAnswer):
            acting.link(place(server)).send(("PING",))
    (outcome,) = acting.send_all([(place(server), (("PING",),))])
    assert isinstance(outcome, NoAnswer)
    assert list(acting.take_over([place(server)])) == [place(server)]
    assert NAME not in names(server)


class Held(Conversation):
    """Holds what the client sends back while `gate` is closed."""

    def __init__(self, *ends: Any) -> None:
        super().__init__(*ends)
        self.gate = threading.Event()
        self.gate.set()
        self.holds = threading.Event()

    def request(self, chunk: bytes) -> bytes:
        if not self.gate.is_set():
            self.holds.set()
            self.gate.wait(PATIENCE)
        return chunk


def test_a_command_on_the_way_is_not_executed_after_the_takeover(server: RedisServer, runtime: MakeRuntime) -> None:
    first, second = runtime(reply_timeout=PATIENCE), runtime()
    proxy = Proxy(server.port, conversation=Held)
    with closing(proxy), ThreadPoolExecutor(1) as pool:
        first.take_over([place(proxy)])
        (conversation,) = proxy.conversations
        assert isinstance(conversation, Held)
        conversation.gate.clear()
        late = pool.submit(write, first, place(proxy), "late")
        assert conversation.holds.wait(PATIENCE)
        assert second.take_over([place(server)]) == {}
        conversation.gate.set()
        with pytest.raises(NoAnswer):
            late.result(PATIENCE)
    assert second.link(place(server)).send(("GET", "key")) == [None]
    assert write(second, place(server), "second") == "OK"


def test_a_looker_is_left_alone(server: RedisServer, runtime: MakeRuntime) -> None:
    looker, acting = runtime(), runtime()
    (own,) = looker.link(place(server)).send(("CLIENT", "ID"))
    acting.take_over([place(server)])
    assert looker.link(place(server)).send(("CLIENT", "ID")) == [own]
    assert write(acting, place(server), "acting") == "OK"


def test_of_many_that_take_over_at_once_one_at_most_can_write(server: RedisServer, runtime: MakeRuntime) -> None:
    for turn in range(10):
        rivals = [runtime() for _ in range(4)]
        barrier = threading.Barrier(len(rivals))

        def compete(rival: RedisRuntime, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(PATIENCE)
            rival.take_over([place(server)])

        threads = [threading.Thread(target=compete, args=(rival,)) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        wrote = [
            outcome for rival in rivals if not isinstance(outcome := attempt(rival, place(server), turn), NoAnswer)
        ]
        assert len(wrote) <= 1


def attempt(runtime: RedisRuntime, instance: Instance, turn: int) -> Any:
    return runtime.send_all([(instance, (("SET", "key", turn),))])[0]


def crowd(server: RedisServer, count: int) -> list["redis.Connection"]:
    """Other clients, some of which have a similar name."""
    clients = []
    for number in range(count):
        name = (None, "app", f"{NAME}-2", f"x{NAME}", f"name={NAME}", NAME.upper())[number % 6]
        client = redis.Connection(host=server.host, port=server.port, client_name=name, driver_info=None)
        client.connect()
        clients.append(client)
    return clients


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.full)])
def test_ends_only_dictators_among_many_clients(server: RedisServer, runtime: MakeRuntime, count: int) -> None:
    clients = crowd(server, count)
    dictators = [runtime() for _ in range(3)]
    for dictator in dictators:
        assert dictator.take_over([place(server)]) == {}
    for client in clients:
        client.send_command("PING")
        assert client.read_response() == b"PONG"
        client.disconnect()
    assert write(dictators[-1], place(server), "last") == "OK"
    for dictator in dictators[:-1]:
        with pytest.raises(NoAnswer):
            write(dictator, place(server), "late")


def test_takes_over_an_instance_that_comes_later_at_its_first_use(server: RedisServer, runtime: MakeRuntime) -> None:
    first, second = runtime(), runtime()
    first.take_over([place(server)])
    second.take_over([])
    assert write(second, place(server), "second") == "OK"
    with pytest.raises(NoAnswer):
        write(first, place(server), "late")


def test_a_link_that_looked_before_takes_over_before_it_acts(server: RedisServer, runtime: MakeRuntime) -> None:
    first, second = runtime(), runtime()
    first.take_over([place(server)])
    second.link(place(server)).send(("PING",))
    second.take_over([])
    assert write(second, place(server), "second") == "OK"
    with pytest.raises(NoAnswer):
        write(first, place(server), "late")


def test_the_instances_that_fail_are_named_and_dead(start_redis: Start, runtime: MakeRuntime) -> None:
    up, down = start_redis("up"), start_redis("down")
    acting = runtime(reply_timeout=0.3)
    acting.link(place(down)).send(("PING",))
    down.process.pause()
    failed = acting.take_over([place(up), place(down)])
    assert list(failed) == [place(down)]
    assert "no whole reply within 0.3 s" in str(failed[place(down)])
    down.process.resume()
    wait_until(down.answers, "it goes on", PATIENCE)
    with pytest.raises(NoAnswer, match="another dictator took over"):
        acting.link(place(down)).send(("PING",))
    assert write(acting, place(up), "up") == "OK"


def test_a_user_of_its_own_serves_to_find_other_dictators(start_redis: Start, runtime: MakeRuntime) -> None:
    server = start_redis(config={"user dictator": RULE})
    login = {"redis_username": "dictator", "redis_password": "secret"}
    other = server.client()
    other.client_setname("other")
    first, second, looker = (runtime(**login) for _ in range(3))
    first.take_over([place(server)])
    looker.link(place(server)).send(("PING",))
    assert second.take_over([place(server)]) == {}
    # it loses its connection, too, and looks again by itself
    assert looker.link(place(server)).send(("GET", "key")) == [None]
    assert other.client_getname() == "other"
    with pytest.raises(NoAnswer):
        write(first, place(server), "late")
    assert write(second, place(server), "second") == "OK"


def test_a_looker_sends_no_change_twice(start_redis: Start, runtime: MakeRuntime) -> None:
    server = start_redis()
    looker = runtime()
    looker.link(place(server)).send(("PING",))
    server.client().client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(NoAnswer):
        write(looker, place(server), "late")
    assert server.client().get("key") is None


@pytest.mark.parametrize("denied", ["client|setname", "client|kill"])
@pytest.mark.parametrize("user", ["dictator", "default"])
def test_a_missing_permission_is_named(start_redis: Start, runtime: MakeRuntime, denied: str, user: str) -> None:
    server = start_redis(config={f"user {user}": f"{RULE} -{denied}"})
    acting = runtime(redis_username=user, redis_password="secret")
    (error,) = acting.take_over([place(server)]).values()
    assert isinstance(error, NotAllowed)
    assert error.command == denied.replace("|", " ").upper()
    assert f"doesn't allow {error.command}: NOPERM" in str(error)
    with pytest.raises(NotAllowed):
        write(acting, place(server), "late")


def test_a_client_list_that_is_not_allowed_is_named_where_it_is_needed(
    start_redis: Start, runtime: MakeRuntime
) -> None:
    server = start_redis(config={"user default": f"{RULE} -client|list"})
    (error,) = runtime(redis_password="secret").take_over([place(server)]).values()
    assert isinstance(error, NotAllowed)
    assert error.command == "CLIENT LIST"


def test_a_renamed_command_is_a_missing_permission(start_redis: Start, runtime: MakeRuntime) -> None:
    server = start_redis(config={"rename-command CLIENT": '""'})
    (error,) = runtime().take_over([place(server)]).values()
    assert isinstance(error, NotAllowed)
    assert "ERR unknown command" in str(error)


def test_sends_to_all_before_it_reads_any(start_redis: Start, runtime: MakeRuntime) -> None:
    servers = [start_redis(name) for name in "abc"]
    groups = [(place(server), (("SET", "key", server.name), ("GET", "key"))) for server in servers]
    assert runtime().send_all(groups) == [["OK", server.name] for server in servers]


def test_an_instance_may_be_in_a_group_once_only(start_redis: Start, runtime: MakeRuntime) -> None:
    server = start_redis()
    with pytest.raises(ValueError, match="once at most"):
        runtime().send_all([(place(server), (("PING",),))] * 2)


def test_valkey_9_1_ends_connections_by_name(start_redis: Start, runtime: MakeRuntime) -> None:
    server = start_redis(flavour="valkey-9.1", config={"user default": f"{RULE} -client|list"})
    first, second = (runtime(redis_password="secret") for _ in range(2))
    first.take_over([place(server)])
    assert second.take_over([place(server)]) == {}
    with pytest.raises(NoAnswer):
        write(first, place(server), "late")
