"""A sample chain that looks like three weeks of work: loaded through the doors everybody uses.

Everything in it follows from SEED and the moment it was begun, event ids too. So a load that was
cut off is finished by loading again: what is there already is a duplicate.
"""

import csv
import io
import random
import uuid
import zoneinfo
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from stdnum import ean

from catalog import editing
from catalog.importing import COLUMNS, import_catalog
from catalog.models import Product
from inventory_project.fields import to_comparable_barcode
from orders import sales
from orders.draining import drain
from orders.judging import SaleLine
from orders.models import SaleEvent
from orders.sample_chain import SHELVES, STORES
from stock import ledger
from stock.ledger import Line
from stock.models import Kind, LedgerHead, Reason
from stores import registry
from stores.models import Store
from stores.principals import Principal

SEED = 2026
NAMESPACE = uuid.UUID("5a3b1e0c-6f0e-5d0a-9a53-6b697279616e")
ZONE_NAME = "Asia/Karachi"
ZONE = zoneinfo.ZoneInfo(ZONE_NAME)
PRODUCTS = 400
WEEKS = 3
DAYS_PER_WEEK = 7
BASKETS_PER_DAY = 23
HOURS = range(8, 22)
HOUR_WEIGHTS = (2, 3, 4, 4, 5, 4, 3, 3, 4, 6, 8, 9, 7, 4)
DAY_FACTORS = (1, 1, 1, 1, 1.1, 1.35, 1.35)  # Monday to Sunday
BASKET_LINES = (1, 2, 3, 4, 5, 6)
BASKET_LINE_WEIGHTS = (25, 30, 20, 13, 8, 4)
WEIGHTS_SOLD = (250, 500, 500, 750, 1000, 1000, 1500, 2000)  # thousandths of a kg or litre
FORGOTTEN_SHARE = 0.08  # of the articles a delivery should have brought
RETIRED_SKU = "HOM-030"
RETIRED_FROM_DAY = 10
# Two sizes that the maker printed one code on.
SHARED_CODE_SKUS = ("SOP-004", "SOP-007")
UNKNOWN_SKU = "NEW-001"
DRAIN_S_MAX = 600


@dataclass(frozen=True, slots=True)
class Item:
    """A product of the sample; `price` in whole rupees, codes as they are printed."""

    sku: str
    name: str
    category: str
    unit: str
    price: int
    code: str
    pack_code: str = ""
    pack_units: int = 0
    shared_code: str = ""


@dataclass(slots=True)
class Week:
    """One week of one store: what came in before it, and what was sold."""

    deliveries: list[Line] = field(default_factory=list)
    sales: list[SaleLine] = field(default_factory=list)


@dataclass(slots=True)
class Loaded:
    """What is there at the end."""

    stores: int
    products: int
    movements: int
    parked: int


def can_load() -> bool:
    """Whether there is nothing yet, or a load that was cut off before its last step."""
    stores = set(Store.objects.values_list("code", "name"))
    if not stores:
        return not Product.objects.exists()
    sample = {(code, _name_store(name, city)) for code, name, city in STORES}
    is_finished = Product.objects.filter(sku=RETIRED_SKU, retired_at__isnull=False).exists()
    return stores <= sample and not is_finished


def load() -> Loaded:
    """Make the chain. Call only when `can_load`.

    Its history ends when its first store was made, so a load that is continued tells the same.
    """
    stores = [_ensure_store(code, name, city) for code, name, city in STORES]
    until = min(store.created_at for store in stores)
    items = make_items()
    _import(items)
    chain = make_history(items, until)
    for week in range(WEEKS):
        for store in stores:
            _work(store, chain[store.code][week])
        drain(seconds_max=DRAIN_S_MAX)
    editing.retire_product(Product.objects.get(sku=RETIRED_SKU))
    return Loaded(
        stores=Store.objects.count(),
        products=Product.objects.count(),
        movements=sum(LedgerHead.objects.values_list("last_seq", flat=True)),
        parked=SaleEvent.objects.parked().count(),
    )


def _ensure_store(code: str, name: str, city: str) -> Store:
    return Store.objects.filter(code=code).first() or registry.register_store(
        code=code,
        name=_name_store(name, city),
        address=f"{city}, Pakistan",
        timezone=ZONE_NAME,
        currency="PKR",
    )


def _name_store(name: str, city: str) -> str:
    return f"{name}, {city}"


def _work(store: Store, week: Week) -> None:
    ledger.move_by_hand(store=store, lines=week.deliveries, actor_id=None, device_id=None)
    for start in range(0, len(week.sales), 1_000):
        lines = week.sales[start : start + 1_000]
        sales.accept(principal=Principal(store=store), lines=lines)


# --- the catalogue ----------------------------------------------------------------------------


def make_items() -> list[Item]:
    """The products, in the order of their SKUs' shelves."""
    items = []
    for shelf_number, shelf in enumerate(SHELVES, 1):
        named = [(f"{v} {name}", price) for name, price in shelf.items for v in shelf.varieties]
        for number, (name, price) in enumerate(named, 1):
            sku = f"{shelf.prefix}-{number:03}"
            has_pack = shelf.unit == "each" and number % 3 == 0
            items.append(Item(
                sku, name, shelf.category, shelf.unit, price,
                code=_make_gtin(20, shelf_number, number),
                pack_code=_make_gtin(28, shelf_number, number) if has_pack else "",
                pack_units=12 if number % 2 else 6,
                shared_code=_make_gtin(29, 0, 1) if sku in SHARED_CODE_SKUS else "",
            ))  # fmt: skip
    return items[:PRODUCTS]


def _make_gtin(prefix: int, shelf_number: int, number: int) -> str:
    """A GTIN-13 of the range that every shop may use inside its own walls (20 to 29)."""
    digits = f"{prefix:02}{shelf_number:04}{number:06}"
    return digits + str(ean.calc_check_digit(digits))


def _import(items: list[Item]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for item in items:
        codes = [item.code, item.shared_code]
        codes.append(f"{item.pack_code}*{item.pack_units}" if item.pack_code else "")
        barcodes = " ".join(code for code in codes if code)
        writer.writerow([item.sku, item.name, item.category, item.unit, item.price, barcodes])
    file.seek(0)
    import_catalog(file)


# --- three weeks ------------------------------------------------------------------------------


def make_history(items: list[Item], until: datetime) -> dict[str, list[Week]]:
    """By store code, the weeks up to `until`; the last day is that of `until`."""
    chance = random.Random(SEED)  # noqa: S311 - the same each time # nosec B311
    popularity = [chance.paretovariate(1.2) for _ in items]
    first_day = until.astimezone(ZONE).date() - timedelta(days=WEEKS * DAYS_PER_WEEK - 1)
    chain = {}
    for code, _, _ in STORES:
        size = chance.uniform(0.6, 1.4)
        weeks = [Week() for _ in range(WEEKS)]
        for number in range(WEEKS * DAYS_PER_WEEK):
            day = first_day + timedelta(days=number)
            sold = [item for item in items if item.sku != RETIRED_SKU or number < RETIRED_FROM_DAY]
            lines = _sell_for_a_day(chance, code, day, sold, popularity, size)
            weeks[number // DAYS_PER_WEEK].sales += [x for x in lines if x.occurred_at <= until]
        _stock_up(chance, code, weeks, items, first_day)
        chain[code] = weeks
    chain[STORES[0][0]][-1].sales.append(_make_unknown(until))
    return chain


def _sell_for_a_day(
    chance: random.Random,
    code: str,
    day: date,
    items: list[Item],
    popularity: list[float],
    size: float,
) -> list[SaleLine]:
    baskets = round(
        BASKETS_PER_DAY * size * DAY_FACTORS[day.weekday()] * chance.uniform(0.85, 1.15)
    )
    times = []
    for hour in chance.choices(HOURS, HOUR_WEIGHTS, k=baskets):
        times.append(
            datetime.combine(day, time(hour), ZONE) + timedelta(seconds=chance.randrange(3600))
        )
    lines: list[SaleLine] = []
    for number, at in enumerate(sorted(times), 1):
        count = chance.choices(BASKET_LINES, BASKET_LINE_WEIGHTS)[0]
        bought = chance.choices(items, popularity[: len(items)], k=count)
        receipt = f"{code}-{day:%y%m%d}-{number:03}"
        for nth, item in enumerate(dict.fromkeys(bought), 1):
            lines.append(_ring_up(chance, item, receipt, nth, at.astimezone(UTC)))
    return lines


def _ring_up(chance: random.Random, item: Item, receipt: str, nth: int, at: datetime) -> SaleLine:
    dice = chance.random()
    if item.unit == "each":
        quantity = 1000 * chance.choice((1, 1, 1, 2, 2, 3))
    else:
        quantity = chance.choice(WEIGHTS_SOLD)
    code, units = "", 1
    if dice < 0.02 and item.pack_code:
        code, units, quantity = item.pack_code, item.pack_units, 1000
    elif dice < 0.6 and item.unit == "each":
        code = item.code
    return SaleLine(
        event_id=_make_id(receipt, nth),
        kind=Kind.RETURN.value if dice > 0.992 else Kind.SALE.value,
        quantity=quantity,
        occurred_at=at,
        sku="" if code else item.sku,
        barcode=to_comparable_barcode(code),
        amount=item.price * units * quantity * 10,
        receipt=receipt,
    )


def _make_unknown(until: datetime) -> SaleLine:
    """An article the shop sells before head office has it in the catalogue: it is parked."""
    return SaleLine(
        event_id=_make_id("unknown", 1), kind=Kind.SALE.value, quantity=2000, sku=UNKNOWN_SKU,
        occurred_at=until - timedelta(hours=3), amount=1_800_000, receipt="LHR-01-NEW",
    )  # fmt: skip


def _make_id(document: str, nth: int) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{document}/{nth}")


# --- deliveries -------------------------------------------------------------------------------


def _stock_up(
    chance: random.Random, code: str, weeks: list[Week], items: list[Item], first_day: date
) -> None:
    """Fill in each week's deliveries: what will sell and some more; now and then too little."""
    balance: dict[str, int] = defaultdict(int)
    for number, week in enumerate(weeks):
        opening = first_day + timedelta(days=number * DAYS_PER_WEEK)
        at = datetime.combine(opening, time(7, 15), ZONE).astimezone(UTC)
        document = f"GRN-{code}-{opening:%y%m%d}"
        demand = _sum_demand(week.sales, items)
        for item in items:
            wanted = demand[item.sku] + (_shelf_minimum(item) if item.sku != RETIRED_SKU else 0)
            if number and chance.random() < FORGOTTEN_SHARE:
                continue
            missing = _round_up_to_case(item, wanted - balance[item.sku])
            if missing > 0:
                week.deliveries.append(_deliver(item, missing, document, at))
                balance[item.sku] += missing
        if number:
            week.deliveries += _write_off(chance, items, balance, document, at)
        for sku, quantity in demand.items():
            balance[sku] -= quantity


def _sum_demand(lines: list[SaleLine], items: list[Item]) -> dict[str, int]:
    """Thousandths taken out by SKU; returns bring back."""
    meant = {to_comparable_barcode(item.code): (item.sku, 1) for item in items}
    meant |= {
        to_comparable_barcode(i.pack_code): (i.sku, i.pack_units) for i in items if i.pack_code
    }
    demand: dict[str, int] = defaultdict(int)
    for line in lines:
        sku, units = meant[line.barcode] if line.barcode else (line.sku, 1)
        demand[sku] += line.quantity * units * (1 if line.kind == Kind.SALE else -1)
    return demand


def _shelf_minimum(item: Item) -> int:
    return 1000 * (24 if item.price < 100 else 12 if item.price < 500 else 6)


def _round_up_to_case(item: Item, quantity: int) -> int:
    case = 1000 * (12 if item.unit == "each" else 5)
    return -(-quantity // case) * case


def _deliver(item: Item, quantity: int, document: str, at: datetime) -> Line:
    cost = item.price * quantity * 8  # four fifths of the price
    return Line(
        event_id=_make_id(document, int(item.code[6:12]) + 1000 * int(item.code[2:6])),
        kind=Kind.RECEIPT.value, quantity=quantity, occurred_at=at, sku=item.sku, amount=cost,
        receipt=document,
    )  # fmt: skip


def _write_off(
    chance: random.Random, items: list[Item], balance: dict[str, int], document: str, at: datetime
) -> Iterator[Line]:
    """Fruit and vegetables go bad, and something is always missing."""
    spoilt = chance.sample([item for item in items if item.sku.startswith("VEG")], 4)
    lost = chance.sample([item for item in items if item.unit == "each"], 2)
    for nth, item in enumerate([*spoilt, *lost]):
        is_spoilt = item in spoilt
        quantity = chance.choice((500, 1000, 1500)) if is_spoilt else 1000
        if balance[item.sku] < quantity:
            continue
        balance[item.sku] -= quantity
        yield Line(
            event_id=_make_id(f"{document}/off", nth),
            kind=Kind.WASTE.value if is_spoilt else Kind.ADJUSTMENT.value,
            quantity=quantity if is_spoilt else -quantity,
            occurred_at=at + timedelta(minutes=20 + nth),
            sku=item.sku,
            reason=Reason.EXPIRED.value if is_spoilt else Reason.THEFT.value,
        )
