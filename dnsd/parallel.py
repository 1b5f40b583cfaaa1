"""Does several things to etcd at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from safe_redis.errors import Rejected

T = TypeVar("T")
R = TypeVar("R")


class Parallel:
    """So many `threads`."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="etcd")

    def map(self, do: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`do` of each item, some at once.

        What etcd rejects is raised when all have been tried; what hasn't begun when etcd fails is
        given up.
        """
        items = list(items)
        if len(items) == 1:  # a change of thread takes as long as a request
            return [do(items[0])]
        running = [self._pool.submit(do, item) for item in items]
        for future in running:
            error = future.exception()
            if error and not isinstance(error, Rejected):
                for other in running:
                    other.cancel()
                wait(running)
                raise error
        return [future.result() for future in running]
