"""From an SKU or a scanned barcode to the product: asked by the ledger and by the lookup."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.models import Barcode, Product
from inventory_project.errors import Conflict


class AmbiguousBarcode(Conflict):
    """Several products carry this code; `facts["candidates"]` lists their SKUs."""

    code = "ambiguous_barcode"
    title = "Barcode of several products"


@dataclass(frozen=True, slots=True)
class Scanned:
    """A product and how many units one scan of it stands for."""

    product: Product
    units: int = 1


def find_scanned(codes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[Scanned]]:
    """For each (sku, comparable barcode), of which one is empty: what it may mean."""
    wanted = set(codes)
    found: dict[tuple[str, str], list[Scanned]] = {code: [] for code in wanted}
    skus = {sku for sku, _ in wanted if sku}
    for product in Product.objects.filter(sku__in=skus):
        found[product.sku, ""].append(Scanned(product))
    barcodes = {barcode for _, barcode in wanted if barcode}
    for barcode in Barcode.objects.filter(comparable__in=barcodes).select_related("product"):
        found["", barcode.comparable].append(Scanned(barcode.product, barcode.units))
    return found


def choose_scanned(candidates: Sequence[Scanned], *, pointer: str = "") -> Scanned:
    """The one product meant: retired products step back where an active one has the code.

    Raises AmbiguousBarcode when more than one is left. `candidates` must not be empty.
    """
    left = [c for c in candidates if c.product.retired_at is None] or list(candidates)
    if len(left) > 1:
        skus = sorted(c.product.sku for c in left)
        raise AmbiguousBarcode(
            f"{len(skus)} products carry this barcode; say which by SKU.",
            pointer=pointer,
            candidates=skus,
        )
    return left[0]
