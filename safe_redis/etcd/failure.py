"""One member's failure, which the others may make up for."""

from safe_redis.errors import StoreError


class MemberFailed(StoreError):
    """One member failed to answer; `sent` says whether it may have got the request."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent
