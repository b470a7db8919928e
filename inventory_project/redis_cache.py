"""Django's cache in Redis with a client that stays, and without pickle."""

from functools import cached_property
from typing import Any

import msgspec
from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class PlainSerializer:
    """Numbers, texts, bytes and lists of them. Django would pickle: who can write into Redis could
    run code here, and have the keys of personal fields."""

    def dumps(self, value: Any) -> int | bytes:
        # Redis itself counts with whole numbers.
        return value if type(value) is int else msgspec.msgpack.encode(value)

    def loads(self, data: bytes) -> Any:
        try:
            return int(data)
        except ValueError:
            return msgspec.msgpack.decode(data)


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
        options = {"serializer": PlainSerializer(), **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self._class = _LastingClient
