"""Django's cache in Redis with a client that stays."""

from functools import cached_property
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class _LastingClient(RedisCacheClient):
    """Django makes a client for each command, whose table of answers costs as much as the command.
    A client may be used by many threads, and goes on in a forked process."""

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        return self._lasting

    @cached_property
    def _lasting(self) -> Any:
        return super().get_client(write=True)


class LastingRedisCache(RedisCache):
    """The cache of one Redis."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _LastingClient
