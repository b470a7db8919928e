"""Who is answered what, at every address: the one table that tests/security/test_matrix.py checks.

A block gives the status for each caller (columns, made in cast.py) and each target: `own` is the
Lahore store or something the chain has, `other` the Karachi store, `missing` nothing at all. Below
it stand the methods and addresses it holds for; `ok` is the status behind `=`. An address that
the URL resolver knows and this table does not fails the build: put it under the block that says
what it shall answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

TABLE = """
        nobody revoked ended till other seller   hq guest clerk manager region catalog auditor head

# the first version: the store is that of the key, so people have none
own        401     401   401   ok    ok    403  403   403   403     403    403     403     403  403
missing    401     401   401  404   404    403  403   403   403     403    403     403     403  403
    POST /addQuantity/<product_id> = 200
    GET /getCurrentStock/<product_id> = 200

# a new store
own        401     401   401  403   403    403   ok   403   403     403    403     403     403   ok
    POST /addStore = 200
    POST /api/store/addStore = 200
    POST /api/stores/ = 201

# new in the catalogue
own        401     401   401  403   403    403   ok   403   403     403    403      ok     403   ok
    POST /addproduct = 200
    POST /api/catalog/categories/ = 201
    POST /api/catalog/products/ = 201
    POST /api/product/addProduct = 200
    POST /createProduct = 200

# lists of the catalogue and of stores; of these each shows the own
own        401     401   401   ok    ok    403   ok   403    ok      ok     ok      ok      ok   ok
    GET /allProducts = 200
    GET /allStores = 200
    GET /api/catalog/categories/ = 200
    GET /api/catalog/changes/ = 200
    GET /api/catalog/products/ = 200
    GET /api/product/products = 200
    GET /api/store/stores = 200
    GET /api/stores/ = 200

# one of the catalogue
own        401     401   401   ok    ok    403   ok   403    ok      ok     ok      ok      ok   ok
missing    401     401   401  404   404    403  404   403   404     404    404     404     404  404
    GET /api/catalog/categories/<name>/ = 200
    GET /api/catalog/products/<sku>/ = 200

# changed in the catalogue
own        401     401   401  403   403    403   ok   403   403     403    403      ok     403   ok
missing    401     401   401  403   403    403  404   403   403     403    403     404     403  404
    PATCH /api/catalog/categories/<name>/ = 200
    POST /api/catalog/categories/<name>/retire/ = 200
    PATCH /api/catalog/products/<sku>/ = 200
    POST /api/catalog/products/<sku>/retire/ = 200

# the API described: on a desk for all, in production for people (test_schema.py)
own         ok     401   401   ok    ok     ok   ok    ok    ok      ok     ok      ok      ok   ok
    GET /api/docs/ = 200
    GET /api/schema/ = 200

# movements by hand
own        401     401   401   ok   404    403   ok   403    ok      ok     ok     403     403   ok
other      401     401   401  404    ok    403   ok   403   404     404    404     403     403   ok
missing    401     401   401  404   404    403  404   403   404     404    404     403     403  404
    PUT /api/inventory/stores/<store_id>/stock/<product_id> = 200
    POST /api/stock/movements/ = 201
    PUT /stock/<store_id>/<product_id> = 200

# sales by their earlier address
own        401     401   401   ok   404     ok   ok   403    ok      ok     ok     403     403   ok
other      401     401   401  404    ok    404   ok   403   404     404    404     403     403   ok
missing    401     401   401  404   404    404  404   403   404     404    404     403     403  404
    POST /api/order/orderProduct/<product_id> = 200

# what happened in a store
own        401     401   401   ok   404    403   ok   403    ok      ok     ok     403      ok   ok
other      401     401   401  404    ok    403   ok   403   404     404    404     403      ok   ok
missing    401     401   401  404   404    403  404   403   404     404    404     403     404  404
    GET /api/orders/sales/ = 200
    GET /api/orders/sales/<event_id>/ = 200
    GET /api/stock/changes/ = 200
    GET /api/stock/movements/ = 200
    GET/POST /stockMovement = 200

# sales: a foreign store is a field that is wrong
own        401     401   401   ok   400     ok   ok   403    ok      ok     ok     403     403   ok
other      401     401   401  400    ok    400   ok   403   400     400    400     403     403   ok
missing    401     401   401  400   400    400  400   403   400     400    400     403     403  400
    POST /api/orders/sales/ = 202

# decisions about parked sales: of people and head office
own        401     401   401  403   403    403   ok   403   403      ok     ok     403     403   ok
other      401     401   401  403   403    403   ok   403   403     404    404     403     403   ok
missing    401     401   401  403   403    403  404   403   403     404    404     403     403  404
    POST /api/orders/sales/<event_id>/dismiss/ = 200
    POST /api/orders/sales/<event_id>/replay/ = 202

# what a store has
own        401     401   401   ok   404    403   ok   403    ok      ok     ok      ok      ok   ok
other      401     401   401  404    ok    403   ok   403   404     404    404      ok      ok   ok
missing    401     401   401  404   404    403  404   403   404     404    404     404     404  404
    GET /api/stock/levels/ = 200
    GET /api/stores/<code>/ = 200
    GET /stock/store/<store_id> = 200

# a store changed
own        401     401   401  403   403    403   ok   403   403     403    403     403     403   ok
other      401     401   401  403   403    403   ok   403   403     403    403     403     403   ok
missing    401     401   401  403   403    403  404   403   403     403    403     403     403  404
    PATCH /api/stores/<code>/ = 200
    POST /api/stores/<code>/retire/ = 200

# who am I: whoever is known
own        401     401   401   ok    ok     ok   ok    ok    ok      ok     ok      ok      ok   ok
    GET /api/stores/current/ = 200

# is it up: anybody
own         ok      ok    ok   ok    ok     ok   ok    ok    ok      ok     ok      ok      ok   ok
    GET /health/live = 200
    GET /health/ready = 200

# the numbers of the chain
own        401     401   401  403   403    403   ok   403   403     403    403     403      ok   ok
    GET /metrics = 200

# the back office does not exist for a key; pages of whoever signs in
own        302     404   404  404   404    404  404    ok    ok      ok     ok      ok      ok   ok
    GET/POST /admin/ = 200
    GET /admin/jsi18n/ = 200
    POST /admin/logout/ = 200
    GET/POST /admin/password_change/ = 200
    GET /admin/password_change/done/ = 200
    GET/POST /admin/search/ = 200

# pages of one app
own        302     404   404  404   404    404  404   404    ok      ok     ok      ok      ok   ok
missing    302     404   404  404   404    404  404   404    ok      ok     ok      ok      ok   ok
    GET/POST /admin/<app_label>/ = 200

# no such page
own        302     404   404  404   404    404  404   404   404     404    404     404     404  404
missing    302     404   404  404   404    404  404   404   404     404    404     404     404  404
    GET/POST /admin/<url>
    GET/POST /admin/r/<content_type_id>/<id>/

# people and roles: who may see them
own        302     404   404  404   404    404  404   403   403     403    403     403      ok   ok
    GET/POST /admin/accounts/user/ = 200
    GET/POST /admin/auth/group/ = 200

# led on to where the page is, whether there is one or not
own        302     404   404  404   404    404  404   302   302     302    302     302     302  302
missing    302     404   404  404   404    404  404   302   302     302    302     302     302  302
    GET/POST /admin/accounts/user/<id>/
    GET/POST /admin/auth/group/<id>/
    GET/POST /admin/catalog/category/<id>/
    GET/POST /admin/catalog/product/<id>/
    GET/POST /admin/catalog/productchange/<id>/

# one person or role
own        302     404   404  404   404    404  404   403   403     403    403     403      ok   ok
missing    302     404   404  404   404    404  404   403   403     403    403     403     302  302
    GET /admin/accounts/user/<id>/change/ = 200
    GET/POST /admin/accounts/user/<id>/history/ = 200
    GET /admin/auth/group/<id>/change/ = 200
    GET/POST /admin/auth/group/<id>/history/ = 200

# a person changed; a superuser gives roles
own        302     404   404  404   404    404  404   403   403     403    403     403     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  302
    POST /admin/accounts/user/<id>/change/ = 200

# nothing is deleted, history is not edited
own        302     404   404  404   404    404  404   403   403     403    403     403     403  403
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  403
    GET/POST /admin/accounts/user/<id>/delete/
    POST /admin/auth/group/<id>/change/
    GET/POST /admin/auth/group/<id>/delete/
    GET/POST /admin/catalog/category/<id>/delete/
    GET/POST /admin/catalog/product/<id>/delete/
    POST /admin/catalog/productchange/<id>/change/
    GET/POST /admin/catalog/productchange/<id>/delete/

# the password of a person
own        302     404   404  404   404    404  404   403   403     403    403     403     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  404
    GET/POST /admin/accounts/user/<id>/password/ = 200

# head office alone
own        302     404   404  404   404    404  404   403   403     403    403     403     403   ok
    GET/POST /admin/accounts/user/add/ = 200
    GET/POST /admin/stores/store/add/ = 200

# nobody adds these; and typing ahead without saying where (test_admin_scope.py)
own        302     404   404  404   404    404  404   403   403     403    403     403     403  403
    GET/POST /admin/auth/group/add/
    GET /admin/autocomplete/
    GET/POST /admin/catalog/productchange/add/
    GET/POST /admin/orders/parkedevent/add/
    GET/POST /admin/orders/saleeventtwin/add/
    GET/POST /admin/stock/leveltwin/add/
    GET/POST /admin/stock/movementtwin/add/

# not by this method
own        302     404   404  404   404    404  404   405   405     405    405     405     405  405
    POST /admin/autocomplete/
    POST /admin/jsi18n/
    GET /admin/logout/
    POST /admin/password_change/done/

# lists for every role
own        302     404   404  404   404    404  404   403    ok      ok     ok      ok      ok   ok
    GET/POST /admin/catalog/category/ = 200
    GET/POST /admin/catalog/product/ = 200
    GET/POST /admin/catalog/productchange/ = 200
    GET/POST /admin/stock/leveltwin/ = 200
    GET/POST /admin/stores/store/ = 200

# one of the catalogue
own        302     404   404  404   404    404  404   403    ok      ok     ok      ok      ok   ok
missing    302     404   404  404   404    404  404   403   302     302    302     302     302  302
    GET /admin/catalog/category/<id>/change/ = 200
    GET /admin/catalog/product/<id>/change/ = 200
    GET /admin/catalog/productchange/<id>/change/ = 200
    GET/POST /admin/catalog/productchange/<id>/history/ = 200

# changed in the catalogue
own        302     404   404  404   404    404  404   403   403     403    403      ok     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     302     403  302
    POST /admin/catalog/category/<id>/change/ = 200
    POST /admin/catalog/product/<id>/change/ = 200

# its history is a page of its own
own        302     404   404  404   404    404  404   403   302     302    302     302     302  302
missing    302     404   404  404   404    404  404   403   404     404    404     404     404  404
    GET/POST /admin/catalog/category/<id>/history/
    GET/POST /admin/catalog/product/<id>/history/

# retired in the catalogue: the question
own        302     404   404  404   404    404  404   403   403     403    403      ok     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     404     403  404
    GET /admin/catalog/category/<id>/restore/ = 200
    GET /admin/catalog/category/<id>/retire/ = 200
    GET /admin/catalog/product/<id>/restore/ = 200
    GET /admin/catalog/product/<id>/retire/ = 200

# retired in the catalogue
own        302     404   404  404   404    404  404   403   403     403    403     302     403  302
missing    302     404   404  404   404    404  404   403   403     403    403     404     403  404
    POST /admin/catalog/category/<id>/restore/
    POST /admin/catalog/category/<id>/retire/
    POST /admin/catalog/product/<id>/restore/
    POST /admin/catalog/product/<id>/retire/

# new in the catalogue
own        302     404   404  404   404    404  404   403   403     403    403      ok     403   ok
    GET/POST /admin/catalog/category/add/ = 200
    GET/POST /admin/catalog/product/add/ = 200
    GET/POST /admin/catalog/product/import/ = 200

# signing in
own         ok     404   404  404   404    404  404   302   302     302    302     302     302  302
    GET /admin/login/ = 200

# signing in, with nothing typed
own         ok     404   404  404   404    404  404    ok    ok      ok     ok      ok      ok   ok
    POST /admin/login/ = 200

# lists of movements and sales
own        302     404   404  404   404    404  404   403    ok      ok     ok     403      ok   ok
    GET/POST /admin/orders/parkedevent/ = 200
    GET/POST /admin/orders/saleeventtwin/ = 200
    GET/POST /admin/stock/movementtwin/ = 200

# led on to where the page is, whether there is one or not
own        302     404   404  404   404    404  404   302   302     302    302     302     302  302
other      302     404   404  404   404    404  404   302   302     302    302     302     302  302
missing    302     404   404  404   404    404  404   302   302     302    302     302     302  302
    GET/POST /admin/orders/parkedevent/<id>/
    GET/POST /admin/orders/saleeventtwin/<id>/
    GET/POST /admin/stock/leveltwin/<id>/
    GET/POST /admin/stock/movementtwin/<id>/
    GET/POST /admin/stores/store/<id>/
    GET/POST /admin/stores/storekey/<id>/

# one movement or sale
own        302     404   404  404   404    404  404   403    ok      ok     ok     403      ok   ok
other      302     404   404  404   404    404  404   403   302     302    302     403      ok   ok
missing    302     404   404  404   404    404  404   403   302     302    302     403     302  302
    GET /admin/orders/parkedevent/<id>/change/ = 200
    GET /admin/orders/saleeventtwin/<id>/change/ = 200
    GET /admin/stock/movementtwin/<id>/change/ = 200

# nothing is deleted, history is not edited, of stores
own        302     404   404  404   404    404  404   403   403     403    403     403     403  403
other      302     404   404  404   404    404  404   403   403     403    403     403     403  403
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  403
    POST /admin/orders/parkedevent/<id>/change/
    GET/POST /admin/orders/parkedevent/<id>/delete/
    POST /admin/orders/saleeventtwin/<id>/change/
    GET/POST /admin/orders/saleeventtwin/<id>/delete/
    POST /admin/stock/leveltwin/<id>/change/
    GET/POST /admin/stock/leveltwin/<id>/delete/
    POST /admin/stock/movementtwin/<id>/change/
    GET/POST /admin/stock/movementtwin/<id>/delete/
    GET/POST /admin/stores/store/<id>/delete/
    POST /admin/stores/storekey/<id>/change/
    GET/POST /admin/stores/storekey/<id>/delete/

# decisions about sales, keys revoked: the question
own        302     404   404  404   404    404  404   403   403      ok     ok     403     403   ok
other      302     404   404  404   404    404  404   403   403     404    404     403     403   ok
missing    302     404   404  404   404    404  404   403   403     404    404     403     403  404
    GET /admin/orders/parkedevent/<id>/dismiss/ = 200
    GET /admin/orders/parkedevent/<id>/replay/ = 200
    GET /admin/stores/storekey/<id>/revoke/ = 200

# decisions about sales, keys revoked
own        302     404   404  404   404    404  404   403   403     302    302     403     403  302
other      302     404   404  404   404    404  404   403   403     404    404     403     403  302
missing    302     404   404  404   404    404  404   403   403     404    404     403     403  404
    POST /admin/orders/parkedevent/<id>/dismiss/
    POST /admin/orders/parkedevent/<id>/replay/
    POST /admin/stores/storekey/<id>/revoke/

# these are themselves the history
own        302     404   404  404   404    404  404   404   404     404    404     404     404  404
other      302     404   404  404   404    404  404   404   404     404    404     404     404  404
missing    302     404   404  404   404    404  404   404   404     404    404     404     404  404
    GET/POST /admin/orders/parkedevent/<id>/history/
    GET/POST /admin/orders/saleeventtwin/<id>/history/
    GET/POST /admin/stock/leveltwin/<id>/history/
    GET/POST /admin/stock/movementtwin/<id>/history/

# one store, and what it has
own        302     404   404  404   404    404  404   403    ok      ok     ok      ok      ok   ok
other      302     404   404  404   404    404  404   403   302     302    302      ok      ok   ok
missing    302     404   404  404   404    404  404   403   302     302    302     302     302  302
    GET /admin/stock/leveltwin/<id>/change/ = 200
    GET /admin/stores/store/<id>/change/ = 200
    GET/POST /admin/stores/store/<id>/history/ = 200

# a store changed
own        302     404   404  404   404    404  404   403   403     403    403     403     403   ok
other      302     404   404  404   404    404  404   403   403     403    403     403     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  302
    POST /admin/stores/store/<id>/change/ = 200

# a store retired: the question
own        302     404   404  404   404    404  404   403   403     403    403     403     403   ok
other      302     404   404  404   404    404  404   403   403     403    403     403     403   ok
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  404
    GET /admin/stores/store/<id>/restore/ = 200
    GET /admin/stores/store/<id>/retire/ = 200

# a store retired
own        302     404   404  404   404    404  404   403   403     403    403     403     403  302
other      302     404   404  404   404    404  404   403   403     403    403     403     403  302
missing    302     404   404  404   404    404  404   403   403     403    403     403     403  404
    POST /admin/stores/store/<id>/restore/
    POST /admin/stores/store/<id>/retire/

# keys
own        302     404   404  404   404    404  404   403   403      ok     ok     403      ok   ok
    GET/POST /admin/stores/storekey/ = 200

# one key
own        302     404   404  404   404    404  404   403   403      ok     ok     403      ok   ok
other      302     404   404  404   404    404  404   403   403     302    302     403      ok   ok
missing    302     404   404  404   404    404  404   403   403     302    302     403     302  302
    GET /admin/stores/storekey/<id>/change/ = 200
    GET/POST /admin/stores/storekey/<id>/history/ = 200

# a key rotated
own        302     404   404  404   404    404  404   403   403     403     ok     403     403   ok
other      302     404   404  404   404    404  404   403   403     403    404     403     403   ok
missing    302     404   404  404   404    404  404   403   403     403    404     403     403  404
    GET/POST /admin/stores/storekey/<id>/rotate/ = 200

# a key issued
own        302     404   404  404   404    404  404   403   403     403     ok     403     403   ok
    GET/POST /admin/stores/storekey/add/ = 200
"""

# What an address does not take: at the API, and at those of Django's that ask nothing of it.
NOT_TAKEN = 405
UNKNOWN = {"nobody": 401, "revoked": 401, "ended": 401}


@dataclass(frozen=True)
class Row:
    """What each caller is answered by one method of one address, by target."""

    method: str
    route: str
    ok: int
    cells: dict[str, dict[str, str]]

    def expect(self, caller: str, target: str) -> int:
        cell = self.cells[target][caller]
        return self.ok if cell == "ok" else int(cell)


def read_table() -> tuple[list[str], list[Row]]:
    """The callers, in the order of the columns, and a row for each method and address."""
    blocks = TABLE.strip("\n").split("\n\n")
    callers = blocks[0].split()
    return callers, [row for block in blocks[1:] for row in _read_block(callers, block)]


def _read_block(callers: list[str], block: str) -> Iterator[Row]:
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    cells = {}
    for line in lines:
        if not line.startswith(" "):
            target, *statuses = line.split()
            cells[target] = dict(zip(callers, statuses, strict=True))
    for line in lines:
        if line.startswith(" "):
            address, _, ok = line.strip().partition(" = ")
            methods, _, route = address.partition(" ")
            for method in methods.split("/"):
                yield Row(method, route, int(ok or 0), cells)
