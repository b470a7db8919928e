"""A shop moves into a chain: its store, catalogue, history and waiting sales, in one commit.

Nobody else can read or write the shop's file from the first look until the chain has committed
and the file is closed: no sale can get in between, and none comes after.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connection, transaction
from django.db.models import BigIntegerField
from django.db.models.functions import Cast

from accounts.audit import Action, record
from accounts.models import User
from accounts.people import remember_people
from catalog.merging import Adopted, Difference, adopt_products, refuse_other_meaning
from catalog.models import Category, Product
from inventory_project.database_file import (
    alone_with,
    examine,
    open_file,
    read_migrations,
    require_file,
)
from inventory_project.errors import Conflict
from inventory_project.failpoints import reach
from inventory_project.keyring import Unreadable, get_keyring, read_key_file
from inventory_project.running import while_stopped
from orders import sales
from orders.models import SaleEvent, Status
from stock import ledger
from stock.history import Past, Standing
from stock.models import LedgerHead, Level, Movement
from stores import registry
from stores.contacts import Contact, read_contact
from stores.models import Store, StoreKey, validate_store_code

ROWS_READ_AT_ONCE = 1_000
IDS_PER_STATEMENT = 500
PROGRESS_MOVEMENTS = 1_000
IDLE_S_MAX = 60

Progress = Callable[[int, int], None]


class CannotMove(Conflict):
    """The file and the chain do not fit; the sentence says what to do."""

    code = "cannot_move"


@dataclass(frozen=True, slots=True)
class Shop:
    """A store in a shop's file, and the alias of the connection that reads it."""

    alias: str
    store: Store

    def of(self, model: Any) -> Any:
        """The store's rows of a table that has its key."""
        return model.objects.using(self.alias).filter(store_id=self.store.pk)

    @property
    def keys(self) -> list[StoreKey]:
        """Its own and, without a store, those of head office."""
        head_office = StoreKey.objects.using(self.alias).filter(store=None)
        return [*self.of(StoreKey).order_by("pk"), *head_office.order_by("pk")]

    @property
    def products(self) -> list[Product]:
        products = Product.objects.using(self.alias).select_related("category")
        return list(products.prefetch_related("barcodes").order_by("pk"))

    @property
    def categories(self) -> list[Category]:
        return list(Category.objects.using(self.alias))

    @property
    def last_seq(self) -> int:
        return self.of(LedgerHead).values_list("last_seq", flat=True).first() or 0


@dataclass(slots=True)
class Move:
    """What moved or, of a plan, will; `is_new` is false where the chain had it all before."""

    code: str
    is_new: bool = True
    products_new: int = 0
    products_matched: int = 0
    movements: int = 0
    levels: int = 0
    waiting: int = 0
    parked: int = 0
    dismissed: int = 0
    keys: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which store of the file, its code in the chain (both may be empty), and whether products
    whose number only happens to be the same get SKUs of their own."""

    store_code: str = ""
    code: str = ""
    renames: bool = False
    # The shop's key file; without one the chain's keys have to do.
    field_keys: Path | None = None


def find_chain() -> str:
    """The chain's database, as one names it to a person. Raises CannotMove,
    UnusableFile."""
    if not settings.IS_DATABASE_NAMED:
        raise CannotMove("Say which chain: export DATABASE_URL, the address of its database.")
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        require_file(Path(database["NAME"]))  # to look into it would make it
        return f"SQLite, {database['NAME']}"
    where = f"{database['HOST'] or 'this machine'}:{database['PORT'] or 5432}"
    return f"PostgreSQL, {database['NAME']} on {where}"


def plan_move(*, file: Path, wish: Wish = Wish(), on_progress: Progress | None = None) -> Move:
    """What `move_shop` would do now, found out by doing it and taking it back; the shop may go on
    selling meanwhile. Raises what `move_shop` raises, except StillRuns and InUse.
    """
    _examine(file)
    with open_file(file) as alias, transaction.atomic(using=alias):
        shop = _find_shop(alias, wish.store_code)
        return _find_moved(shop) or _write(shop, wish, on_progress, keeps=False)


def move_shop(*, file: Path, wish: Wish = Wish(), on_progress: Progress | None = None) -> Move:
    """Move the store of a shop's file into the chain of this program, and close it there.

    A second call finds the store moved, and sees to it that the file is closed. `on_progress` is
    told how many movements are done, and of how many.

    Raises StillRuns, InUse, UnusableFile, CannotMove, GivenSkusMet, UnitsDiffer, OtherMeaning,
    UnsoundHistory, KeyKnown, UsernameTaken; then neither side has changed.
    """
    require_file(file)
    with while_stopped(file):
        _examine(file)
        with alone_with(file) as alias:
            shop = _find_shop(alias, wish.store_code)
            moved = _find_moved(shop) or _write(shop, wish, on_progress)
            # The chain first: dying here leaves a shop that is moved and not closed yet, which the
            # next call tells from the events.
            reach("after_chain_commit")
            sales.give_away(store=shop.store, to=f"store {moved.code} of the chain", using=alias)
            registry.close_moved_store(shop.store, using=alias)
    return moved


# --- before -----------------------------------------------------------------------------------


def _examine(file: Path) -> None:
    found = examine(file)
    if found.unknown:
        raise CannotMove(f"{file} was written by a newer version of the program than this chain's.")
    if found.missing:
        raise CannotMove(
            f"{file} is of an older version: start it once with script/server --shop of this "
            "version and stop it again."
        )
    chain = read_migrations()
    if chain.missing or chain.unknown:
        raise CannotMove(
            "The chain's database is of another version of the program: run manage.py migrate there"
            + (", with the newest version." if chain.unknown else ".")
        )
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite" and Path(name).exists() and file.samefile(name):
        raise CannotMove("DATABASE_URL has to name the chain's database, and names the shop's.")


def _find_shop(alias: str, code: str) -> Shop:
    stores = {store.code: store for store in Store.objects.using(alias)}
    if code and code not in stores:
        raise CannotMove(f"There is no store {code!r} in the file.")
    if not stores:
        raise CannotMove("There is no store in the file.")
    if not code and len(stores) > 1:
        raise CannotMove(f"The file has several stores ({', '.join(stores)}): name one of them.")
    return Shop(alias, stores[code] if code else next(iter(stores.values())))


def _choose_code(shop: Shop, wish: Wish) -> str:
    code = wish.code or shop.store.code
    try:
        validate_store_code(code)
    except ValidationError as error:
        raise CannotMove(f"{code!r} is no store code. {error.messages[0]}") from error
    if Store.objects.filter(code=code).exists():
        raise CannotMove(f"The chain has a store {code}: give this one another code.")
    return code


# --- a second time ----------------------------------------------------------------------------


def _find_moved(shop: Shop) -> Move | None:
    """The move that was made before, if one was. Raises CannotMove where the shop went on."""
    store = _find_same(shop)
    if store is None:
        return None
    if not (_has_history(shop, store) and _has_events(shop, store)):
        raise CannotMove(
            f"Store {store.code} of the chain began as this shop, but the file holds sales that "
            "the chain does not: it was sold in after the move, or is another copy of that shop."
        )
    return Move(code=store.code, is_new=False, movements=shop.last_seq)


def _find_same(shop: Shop) -> Store | None:
    """The chain's store with a key of the shop, its first movement or a sale of its inbox."""
    prefixes = list(shop.of(StoreKey).values_list("prefix", flat=True))
    store: Store | None = Store.objects.filter(keys__prefix__in=prefixes).first()
    if store:
        return store
    told = [
        *shop.of(Movement).filter(seq=1).values_list("event_id", flat=True),
        *shop.of(SaleEvent).values_list("event_id", flat=True)[:IDS_PER_STATEMENT],
    ]
    for table in (Movement, SaleEvent):
        everywhere = table.objects.filter(store_id__in=Store.objects.values("pk"))
        if row := everywhere.filter(event_id__in=told).select_related("store").first():
            store = row.store
    return store


def _has_history(shop: Shop, store: Store) -> bool:
    there = _read_ids(shop.of(Movement))
    here = _read_ids(Movement.objects.for_store(store).filter(seq__lte=shop.last_seq))
    return all(theirs == ours for theirs, ours in zip_longest(there, here))


def _read_ids(movements: Any) -> Iterator[tuple[int, uuid.UUID, bytes]]:
    rows = movements.order_by("seq").values_list("seq", "event_id", "digest")
    for seq, event_id, digest in rows.iterator(chunk_size=ROWS_READ_AT_ONCE):
        yield seq, event_id, bytes(digest)


def _has_events(shop: Shop, store: Store) -> bool:
    """Whether each event of the shop's inbox is in the chain's, or has been applied since."""
    rest = shop.of(SaleEvent).values_list("event_id", flat=True).iterator()
    while ids := set(islice(rest, IDS_PER_STATEMENT)):
        known: set[uuid.UUID] = set()
        for table in (Movement, SaleEvent):
            found = table.objects.for_store(store).filter(event_id__in=ids)
            known.update(found.values_list("event_id", flat=True))
        if ids - known:
            return False
    return True


# --- the move ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ids:
    """The chain's ids by the shop's."""

    store: int
    products: dict[int, int]
    devices: dict[int, int]
    people: dict[int, int]


@transaction.atomic
def _write(shop: Shop, wish: Wish, on_progress: Progress | None, *, keeps: bool = True) -> Move:
    """Write the whole store, in one transaction; without `keeps` it is taken back at the end."""
    _lift_time_limit()
    code = _choose_code(shop, wish)
    catalogue = adopt_products(
        shop.products, shop.categories, rename_as=code if wish.renames else ""
    )
    refuse_other_meaning(shop.products, _read_waiting_codes(shop), catalogue)
    store = _register(shop.store, code, _read_contact(shop, wish))
    devices = registry.adopt_keys(store=store, keys=shop.keys)
    ids = _Ids(store.pk, catalogue.ids, devices, _adopt_people(shop, code))
    ledger.adopt_history(
        store=store,
        history=_tell_progress(_read_history(shop, ids), shop.last_seq, on_progress),
        last_seq=shop.last_seq,
        levels=_read_levels(shop, ids),
    )
    sales.adopt(_read_events(shop, ids, catalogue.renamed))
    facts = {"shop": shop.store.code, "movements": shop.last_seq, "people": len(ids.people)}
    record(Action.SHOP_MOVED, registry.subject_of_store(store), after=facts)
    transaction.set_rollback(not keeps)
    return _tell(shop, code, catalogue)


def _read_contact(shop: Shop, wish: Wish) -> Contact:
    """Read with the keys of the shop; the chain seals it with its own."""
    ring = get_keyring()
    try:
        if wish.field_keys:
            # The shop's first: both may have called theirs `k1`.
            ring = read_key_file(wish.field_keys).with_others(ring)
        return read_contact(shop.store, ring=ring, using=shop.alias)
    except (Unreadable, ImproperlyConfigured) as error:
        raise CannotMove(
            f"The shop's contact cannot be read. {error} Name the key file of the shop with "
            "--field-keys; if it is lost, write a new contact in the shop's back office first."
        ) from error


def _register(theirs: Store, code: str, contact: Contact) -> Store:
    return registry.register_store(
        code=code, name=theirs.name, address=theirs.address, timezone=theirs.timezone,
        currency=theirs.currency, negative_stock=theirs.negative_stock,
        created_at=theirs.created_at, retired=theirs.retired_at is not None,
        contact=contact,
    )  # fmt: skip


def _tell(shop: Shop, code: str, catalogue: Adopted) -> Move:
    events = shop.of(SaleEvent)
    return Move(
        code=code,
        products_new=catalogue.new,
        products_matched=catalogue.matched,
        movements=shop.last_seq,
        levels=shop.of(Level).count(),
        waiting=events.filter(status=Status.PENDING).count(),
        parked=events.filter(status=Status.PARKED).count(),
        dismissed=events.filter(status=Status.DISMISSED).count(),
        keys=shop.of(StoreKey).count(),
        renamed=catalogue.renamed,
        differences=catalogue.differences,
    )


def _lift_time_limit() -> None:
    """The limits of a connection are for requests. Reading a large file takes a while, in which
    the chain hears nothing; a move that was frozen must all the same not lock it for ever."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S_MAX}s'")


def _adopt_people(shop: Shop, code: str) -> dict[int, int]:
    """Whoever the shop's history or inbox names."""
    found: set[int] = set()
    for model, column in (
        (Movement, "actor_id"),
        (SaleEvent, "actor_id"),
        (SaleEvent, "dismissed_by_id"),
    ):
        named = shop.of(model).exclude(**{column: None})
        found.update(named.values_list(column, flat=True).distinct())
    people = User.objects.using(shop.alias).filter(pk__in=found)
    names = dict(people.values_list("pk", "username"))
    ids = remember_people(usernames=names.values(), of=code)
    return {pk: ids[name] for pk, name in names.items()}


def _read_history(shop: Shop, ids: _Ids) -> Iterator[Past]:
    exact = {  # the whole numbers that are stored, without the way through Decimal
        f"{name}_stored": Cast(name, BigIntegerField())
        for name in ("quantity", "balance_after", "amount")
    }
    rows = (
        shop.of(Movement).annotate(**exact).order_by("seq").values_list(
            "seq", "product_id", "kind", "quantity_stored", "balance_after_stored",
            "amount_stored", "event_id", "digest", "occurred_at", "recorded_at", "business_date",
            "receipt", "reason", "actor_id", "device_id", "reverses_seq",
        )
    )  # fmt: skip
    for row in rows.iterator(chunk_size=ROWS_READ_AT_ONCE):
        past = Past(*row)
        yield past._replace(
            product_id=ids.products[past.product_id],
            actor_id=ids.people.get(past.actor_id or 0),
            device_id=ids.devices.get(past.device_id or 0),
        )


def _tell_progress(
    history: Iterable[Past], total: int, on_progress: Progress | None
) -> Iterator[Past]:
    for done, past in enumerate(history, start=1):
        yield past
        if on_progress and (done % PROGRESS_MOVEMENTS == 0 or done == total):
            on_progress(done, total)


def _read_levels(shop: Shop, ids: _Ids) -> dict[int, Standing]:
    stored = shop.of(Level).annotate(stored=Cast("quantity", BigIntegerField()))
    rows = stored.values_list("product_id", "stored", "updated_seq")
    return {ids.products[product_id]: Standing(*rest) for product_id, *rest in rows}


def _read_waiting_codes(shop: Shop) -> list[tuple[str, str]]:
    waiting = shop.of(SaleEvent).exclude(status=Status.DISMISSED)
    return list(waiting.values_list("sku", "barcode").distinct())


def _read_events(shop: Shop, ids: _Ids, renamed: dict[str, str]) -> Iterator[SaleEvent]:
    """The digest stays that of the event as it was sent: sent again, it is a duplicate."""
    names = [field.attname for field in SaleEvent._meta.concrete_fields]
    for row in shop.of(SaleEvent).values(*names).iterator(chunk_size=ROWS_READ_AT_ONCE):
        yield SaleEvent(**row | {
            "store_id": ids.store,
            "sku": renamed.get(row["sku"], row["sku"]),
            "device_id": ids.devices.get(row["device_id"] or 0),
            "actor_id": ids.people.get(row["actor_id"] or 0),
            "dismissed_by_id": ids.people.get(row["dismissed_by_id"] or 0),
        })  # fmt: skip
