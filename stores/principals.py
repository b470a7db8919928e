"""Who asks, and which stores that one may see."""

import re
from dataclasses import dataclass
from functools import cached_property

from accounts.models import User
from inventory_project.errors import Forbidden, NotFound
from stores.models import STORE_CODE_PATTERN, Store, StoreKey


class NotYours(Forbidden):
    """A write for a store that the caller may see, as an auditor sees all, and not work for."""

    code = "not_your_store"


@dataclass(frozen=True)
class Principal:
    """A device key of one store, a head-office key, or a person of staff.

    `store` is set for device keys only. Write modules take a principal to know whom to name as
    `actor_id` and `device_id`; querysets take it in `visible_to`.
    """

    store: Store | None = None
    key: StoreKey | None = None
    user: User | None = None

    # DRF and Django ask these two of anything that stands in for a user.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_device(self) -> bool:
        return self.store is not None

    @cached_property
    def works_chain_wide(self) -> bool:
        """Head office: its keys, superusers, and staff with the permission `work_chain_wide`.

        What it may do there is another question: a role's permissions, a key's scopes.
        """
        if self.key is not None:
            return self.store is None
        return self.may("stores.work_chain_wide")

    @cached_property
    def reads_chain_wide(self) -> bool:
        """Sees every store: head office, and who checks its books."""
        return self.works_chain_wide or self.may("stores.read_chain_wide")

    def may(self, permission: str) -> bool:
        """Whether this is a person with the permission, such as `stock.view_level`."""
        return self.user is not None and self.user.has_perm(permission)

    @property
    def scope(self) -> str:
        """Which stores it sees, in a word: who has the same word sees the same rows."""
        if self.reads_chain_wide:
            return "chain"
        ids = [self.store.pk] if self.store else sorted(self.member_store_ids)
        return f"stores {ids}"

    @cached_property
    def member_store_ids(self) -> list[int]:
        if self.user is None:
            return []
        return list(self.user.store_memberships.values_list("store_id", flat=True))

    @cached_property
    def actor_id(self) -> int | None:
        return self.user.pk if self.user else None

    @cached_property
    def device_id(self) -> int | None:
        return self.key.pk if self.key else None

    def get_store(self, code: str | None) -> Store:
        """The store of this code, or the device's own when no code is given.

        Raises NotFound for a missing store and for one of somebody else: both answer alike.
        """
        if self.store is not None and code in (None, self.store.code):
            return self.store
        # PostgreSQL refuses to be asked for a text with NUL in it.
        possible = code and re.fullmatch(STORE_CODE_PATTERN, code)
        stores = Store.objects.visible_to(self).filter(code=code)
        found: Store | None = stores.first() if possible else None
        if found is None:
            raise NotFound("There is no such store.", pointer="/store")
        return found

    def get_store_to_write(self, code: str | None) -> Store:
        """As `get_store`, of a store it works for. Raises NotFound, and NotYours for a store it
        only sees."""
        store = self.get_store(code)
        self.refuse_unless_writable(store)
        return store

    def refuse_unless_writable(self, store: Store) -> None:
        """Raises NotYours for a store it only sees."""
        if self.works_chain_wide or store == self.store or store.pk in self.member_store_ids:
            return
        raise NotYours("You see this store and do not work for it.")


SYSTEM = Principal()
"""Nobody in particular: commands and tasks. It sees no store through `visible_to`."""
