"""Lists of products and stores, one product, a barcode's product: kept, and never out of date."""

import json
import pickle
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from django.http import HttpRequest

from catalog import editing
from catalog.models import CatalogHead, Category, Product
from catalog.serializers import ProductSerializer
from inventory_project import caching
from inventory_project.caching import answer_by_version
from inventory_project.windows import LocalWindow
from script.private_servers import PrivateValkey
from script.server_process import LOOPBACK, free_port
from stores import registry
from stores.models import Store, StoreMember, StoresHead
from stores.serializers import StoreSerializer
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.concurrency.threads import together
from tests.web import running_web

PRODUCTS, STORES = "/api/catalog/products/", "/api/stores/"
EARLIER = ["/allProducts", "/allStores", "/api/product/products", "/api/store/stores"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that keeps nothing and knows nothing of Redis."""
    caching._local.clear()
    monkeypatch.setattr(caching, "_silent_until", 0.0)


def names_in(answer):
    return [row["name"] for row in answer.body["results"]]


def known(api, path, etag):
    return api.send("get", path, b"", headers={"If-None-Match": etag})


# --- what it saves ---------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("path", [PRODUCTS, f"{PRODUCTS}TEA/", f"{PRODUCTS}?barcode=T1", *EARLIER])
def test_second_answer_asks_for_the_key_and_the_version_only(
    head_office, lahore, path, django_assert_num_queries
):
    make.make_product("TEA", barcodes=["T1"])
    first = head_office.get(path)
    assert first.status_code == 200
    with django_assert_num_queries(2):
        second = head_office.get(path)
    assert (second.body, second["ETag"]) == (first.body, first["ETag"])


@pytest.mark.django_db
@pytest.mark.parametrize("path", [PRODUCTS, f"{PRODUCTS}TEA/", STORES, *EARLIER])
def test_who_has_it_is_told_304_until_it_changes(
    head_office, lahore, tea, path, django_assert_num_queries
):
    etag = head_office.get(path)["ETag"]
    for told in (etag, f"W/{etag}", f'"other", {etag}'):
        with django_assert_num_queries(2):
            answer = known(head_office, path, told)
        assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
        assert answer["Cache-Control"] == "private, no-cache"
        assert not answer.has_header("Content-Type")
        assert answer["RateLimit"]
    assert known(head_office, path, '"other"').status_code == 200
    editing.change_product(tea, name="Tea 500 g")
    registry.change_store(lahore, name="Mall Road")
    answer = known(head_office, path, etag)
    assert (answer.status_code, answer["ETag"] == etag) == (200, False)
    assert "Tea 500 g" in str(answer.body) or "Mall Road" in str(answer.body)


# --- a change is in the next answer -----------------------------------------------------------


@pytest.mark.django_db
def test_every_change_of_the_catalogue_is_in_the_next_answer(head_office, till):
    def seen():
        """The list, one product, and a scan: told as one, because all must follow."""
        (row,) = till.get(PRODUCTS).body["results"]
        assert till.get(f"{PRODUCTS}TEA/").body == row
        return row

    spices = make.make_category("Spices")
    tea = make.make_product("TEA", category=spices, barcodes=["T1"])
    assert (seen()["category"], seen()["barcodes"]) == ("Spices", [{"code": "T1", "units": 1}])
    editing.change_category(spices, name="Tea")
    assert seen()["category"] == "Tea"
    head_office.patch(f"{PRODUCTS}TEA/", {"price": "99", "barcodes": [{"code": "T2"}]})
    assert (seen()["price"], seen()["barcodes"]) == ("99.00", [{"code": "T2", "units": 1}])
    assert till.get(PRODUCTS, barcode="T1").body["results"] == []
    assert len(till.get(PRODUCTS, barcode="T2").body["results"]) == 1
    editing.save_products([editing.ProductRow(sku="TEA", name="Green tea")])
    assert seen()["name"] == "Green tea"
    office.head_of_chain().post(
        f"/admin/catalog/product/{tea.pk}/change/", office_form(name="Black tea")
    )
    assert seen()["name"] == "Black tea"
    editing.retire_product(tea)
    assert seen()["retired_at"] and till.get(PRODUCTS, retired="false").body["results"] == []
    editing.restore_product(tea)
    assert seen()["retired_at"] is None
    make.make_product("RICE", barcodes=["T2"])
    assert len(till.get(PRODUCTS).body["results"]) == 2
    is_problem(till.get(PRODUCTS, barcode="T2"), 409, "ambiguous_barcode")


def office_form(**fields):
    category = Category.objects.get()
    form = {"name": "", "category": category.pk, "unit": "each", "price": "99", "codes": "T2"}
    inline = {"TOTAL_FORMS": 0, "INITIAL_FORMS": 0, "MIN_NUM_FORMS": 0, "MAX_NUM_FORMS": 50}
    return form | fields | {f"barcodes-{name}": value for name, value in inline.items()}


@pytest.mark.django_db
def test_every_change_of_a_store_is_in_the_next_answer(head_office, lahore):
    assert names_in(head_office.get(STORES)) == ["Kiryana Lahore"]
    head_office.patch(f"{STORES}LHR-01/", {"name": "Mall Road"})
    assert names_in(head_office.get(STORES)) == ["Mall Road"]
    registry.retire_store(lahore)
    assert head_office.get(STORES, retired="false").body["results"] == []
    registry.restore_store(Store.objects.get())
    assert names_in(head_office.get(STORES, retired="false")) == ["Mall Road"]
    make.make_store("KHI-02")
    assert len(head_office.get(STORES).body["results"]) == 2
    assert len(head_office.get("/allStores").body["stores"]) == 2


def test_change_in_one_process_is_in_the_next_answer_of_another(committed):
    make.make_product("TEA", name="Tea")
    with running_web() as one, running_web() as other:
        head = OverHttp(make.make_head_office().credential)
        for number in range(5):
            for url in (one, other, one):
                head.get(f"{url}{PRODUCTS}")
            editing.change_product(Product.objects.get(), name=f"Tea {number}")
            for url in (one, other):
                assert head.get(f"{url}{PRODUCTS}")["results"][0]["name"] == f"Tea {number}"


class OverHttp:
    def __init__(self, credential):
        self.headers = {"Authorization": f"Api-Key {credential}"}

    def get(self, url):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, headers=self.headers), timeout=10) as answer:
            return json.load(answer)


@pytest.mark.django_db
def test_database_restored_from_a_copy_is_not_answered_from_before(head_office, lahore):
    """After the copy was put back, the next change gets a version that was there before."""
    registry.change_store(lahore, name="Before the crash")
    answer = head_office.get(STORES)
    assert (names_in(answer), StoresHead.objects.get().version) == (["Before the crash"], 2)
    Store.objects.update(name="As in the copy")
    StoresHead.objects.update(version=1)
    registry.change_store(lahore, name="After it")
    assert StoresHead.objects.get().version == 2
    assert names_in(known(head_office, STORES, answer["ETag"])) == ["After it"]


@pytest.mark.django_db
def test_change_that_changes_nothing_leaves_what_is_kept(head_office, tea):
    etag = head_office.get(PRODUCTS)["ETag"]
    assert head_office.patch(f"{PRODUCTS}TEA/", {"name": tea.name}).status_code == 200
    assert known(head_office, PRODUCTS, etag).status_code == 304


@pytest.mark.django_db
def test_answer_that_a_change_overtakes_is_given_and_not_kept(tea, use_redis, valkey):
    """It may be of both versions, and a database put back would make the older one true again."""
    use_redis(valkey.url)
    caching.caches["default"].clear()
    made = []

    def make_it():
        made.append(1)
        if len(made) == 1:
            editing.change_product(tea, name="Changed meanwhile")
        return len(made)

    request = HttpRequest()
    request.path = "/list"
    answers = [
        answer_by_version(request, head=CatalogHead, scope="", make=make_it) for _ in range(3)
    ]
    assert [answer.content for answer in answers] == [b"1", b"2", b"2"]
    assert [answer.has_header("ETag") for answer in answers] == [False, True, True]


# --- whose answer it is -----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("path", [STORES, "/allStores", "/api/store/stores"])
def test_nobody_gets_the_list_of_somebody_else(head_office, lahore, karachi, path):
    lhr, khi = make.make_device(lahore), make.make_device(karachi)
    for _ in range(3):
        assert "Kiryana Karachi" not in str(lhr.get(path).body)
        assert "Kiryana Lahore" not in str(khi.get(path).body)
        both = str(head_office.get(path).body)
        assert "Kiryana Karachi" in both and "Kiryana Lahore" in both
    assert known(khi, path, lhr.get(path)["ETag"]).status_code == 200


@pytest.mark.django_db
def test_store_given_to_a_person_is_in_the_next_answer(lahore, karachi):
    sana = office.make_staff(lahore)
    browser = office.sign_in(sana)
    assert [s["code"] for s in browser.get(STORES).json()["results"]] == ["LHR-01"]
    StoreMember.objects.create(user=sana, store=karachi)
    assert [s["code"] for s in browser.get(STORES).json()["results"]] == ["KHI-02", "LHR-01"]
    StoreMember.objects.filter(store=lahore).delete()
    assert [s["code"] for s in browser.get(STORES).json()["results"]] == ["KHI-02"]


@pytest.mark.django_db
def test_refused_caller_gets_nothing_that_is_kept(till, lahore, tea):
    etag = till.get(PRODUCTS)["ETag"]
    is_problem(known(make.Api(), PRODUCTS, etag), 401, "not_authenticated")
    registry.revoke_key(lahore.keys.get())
    is_problem(known(till, PRODUCTS, etag), 401, "key_refused")


@pytest.mark.django_db
def test_refusal_is_not_kept_and_a_kept_answer_hides_none(head_office, tea):
    for _ in range(2):
        assert head_office.get(PRODUCTS, limit=5).status_code == 200
        is_problem(head_office.get(f"{PRODUCTS}?limit=5&limit=5"), 400, "given_twice")
        is_problem(head_office.get(f"{PRODUCTS}?limit=5&colour=red"), 400, "unknown_parameter")
        is_problem(head_office.get(PRODUCTS, limit=0), 400, "out_of_range")
        is_problem(head_office.get(f"{PRODUCTS}RICE/"), 404, "not_found")
    make.make_product("RICE")
    assert head_office.get(f"{PRODUCTS}RICE/").status_code == 200


@pytest.mark.django_db
def test_writer_says_what_the_schema_says(head_office, lahore, tea):
    for path, serializer in ((PRODUCTS, ProductSerializer), (STORES, StoreSerializer)):
        (row,) = head_office.get(path).body["results"]
        fields = serializer().fields
        assert list(row) == [name for name, field in fields.items() if not field.write_only]


# --- one makes it for all ---------------------------------------------------------------------


def ask(seconds=0.05, made=None, path="/list", answer="ok"):
    """An answer that takes its time, and notes that it was made."""

    def make_it():
        if made is not None:
            made.append(threading.get_ident())
        time.sleep(seconds)
        return answer

    request = HttpRequest()
    request.path = path
    return answer_by_version(request, head=CatalogHead, scope="", make=make_it).content


def test_threads_that_come_at_once_wait_for_the_one_that_makes_it(committed, monkeypatch, settings):
    settings.REDIS_URL = ""  # it would do the same for other processes
    make.make_product("TEA")
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(caching, "_making", [Unlocked()])
        patch.setattr(caching, "_LOCKS_COUNT", 1)
        together(*[lambda: ask(made=made)] * 16)
    assert len(made) > 1, "without the lock each of them makes it"
    caching._local.clear()
    made.clear()
    assert together(*[lambda: ask(made=made)] * 16) == [b'"ok"'] * 16
    assert len(made) == 1


class Unlocked:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    with PrivateValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def use_redis(settings):
    def use(url):
        settings.REDIS_URL = url
        default = {"BACKEND": "inventory_project.redis_cache.LastingRedisCache", "LOCATION": url}
        options = {"socket_timeout": 1, "socket_connect_timeout": 1}
        settings.CACHES = settings.CACHES | {"default": default | {"OPTIONS": options}}

    return use


@pytest.fixture
def redis_cache(valkey, use_redis):
    use_redis(valkey.url)
    caching.caches["default"].clear()
    return caching.caches["default"]


@pytest.mark.django_db
def test_other_processes_take_what_one_made(redis_cache, tea):
    made = []
    for _ in range(3):
        caching._local.clear()  # as another process, which keeps nothing yet
        assert ask(made=made) == b'"ok"'
    assert len(made) == 1
    editing.change_product(tea, name="Other")
    assert ask(made=made, answer="new") == b'"new"'


def test_processes_that_come_at_once_wait_for_the_one_that_makes_it(
    committed, redis_cache, monkeypatch
):
    make.make_product("TEA")
    # No lock between threads and nothing kept in memory: as sixteen processes.
    monkeypatch.setattr(caching, "_making", [Unlocked()])
    monkeypatch.setattr(caching, "_LOCKS_COUNT", 1)
    monkeypatch.setattr(caching, "_remember", lambda *_: None)
    made = []
    assert together(*[lambda: ask(made=made)] * 16) == [b'"ok"'] * 16
    assert len(made) == 1


@pytest.mark.django_db
def test_who_died_while_making_it_is_not_waited_for_long(redis_cache, tea, monkeypatch):
    class Killed(BaseException):
        pass

    def die():
        raise Killed

    monkeypatch.setattr(caching, "MAKING_S_MAX", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_cache, "delete", lambda *_: None)
        with pytest.raises(Killed):
            caching._find_shared("7", "1.1", die)
    begin = time.monotonic()
    assert caching._find_shared("7", "1.1", lambda: b"made") == b"made"
    assert 0.5 < time.monotonic() - begin < 1.5


@pytest.mark.django_db
def test_error_of_who_makes_it_lets_the_next_one_try_at_once(redis_cache, tea):
    with pytest.raises(ZeroDivisionError):
        caching._find_shared("7", "1.1", lambda: 1 // 0)
    begin = time.monotonic()
    assert caching._find_shared("7", "1.1", lambda: b"made") == b"made"
    assert time.monotonic() - begin < 0.5


# --- Redis away -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_redis_the_answers_are_the_same_and_nobody_waits(use_redis, head_office, tea):
    use_redis(f"redis://{LOOPBACK}:{free_port()}")
    assert names_in(head_office.get(PRODUCTS)) == ["Tea 250 g"]
    assert caching._silent_until > time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caching, "caches", {})  # asking would raise now, and be noted anew
        silent_until = caching._silent_until
        editing.change_product(tea, name="Other")
        assert names_in(head_office.get(PRODUCTS)) == ["Other"]
        assert caching._silent_until == silent_until


@pytest.mark.django_db
def test_nonsense_in_redis_is_no_answer(redis_cache, head_office, tea):
    head_office.get(PRODUCTS)
    (question,) = list(caching._local)
    caching._local.clear()
    for nonsense in (b"\x80nonsense", b"", b"7"):
        redis_cache._cache.get_client().set(redis_cache.make_key(question), nonsense)
        caching._silent_until = 0.0
        assert names_in(head_office.get(PRODUCTS)) == ["Tea 250 g"]
        caching._local.clear()


class Planted:
    """What runs a command in whoever unpickles it."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return (Path.touch, (self.proof,))


@pytest.mark.django_db
def test_nothing_in_redis_is_run(redis_cache, head_office, tea, tmp_path):
    proof = tmp_path / "proof"
    head_office.get(PRODUCTS)
    (question,) = list(caching._local)
    caching._local.clear()
    planted = pickle.dumps(Planted(proof))
    redis_cache._cache.get_client().set(redis_cache.make_key(question), planted)
    assert names_in(head_office.get(PRODUCTS)) == ["Tea 250 g"]
    assert not proof.exists()


@pytest.mark.parametrize("value", [7, "tea", 1.5, ["2.7", b"\x00\xff"], True])
def test_what_is_put_into_redis_comes_back(redis_cache, value):
    redis_cache.set("name", value)
    assert redis_cache.get("name") == value


def test_one_request_asks_whether_a_redis_that_hangs_is_back(
    committed, use_redis, tmp_path, caplog
):
    with PrivateValkey(tmp_path) as server:
        use_redis(server.url)
        make.make_product("TEA")
        server.process.send_signal(signal.SIGSTOP)
        try:
            ask(0)
            caching._silent_until = time.monotonic()  # the silence is over
            caching._local.clear()
            caplog.clear()
            together(*[lambda n=n: ask(0, path=f"/{n}") for n in range(8)])
        finally:
            server.process.send_signal(signal.SIGCONT)
    assert [record.message.split(",")[0] for record in caplog.records] == ["Redis is away"]


# --- how much is kept -------------------------------------------------------------------------


@pytest.mark.django_db
def test_memory_is_bounded_and_the_least_asked_for_goes_first(tea, monkeypatch, settings):
    settings.REDIS_URL = ""
    monkeypatch.setattr(caching, "LOCAL_BYTES_MAX", 100)
    monkeypatch.setattr(caching, "KEPT_BYTES_BESIDE", 0)
    small = caching.LRUCache(100, getsizeof=caching.measure_kept)
    monkeypatch.setattr(caching, "_local", small)
    for name in "abcd":
        ask(0, path=f"/{name}", answer="x" * 30)
        ask(0, path="/a", answer="x" * 30)
    assert small.currsize <= 100
    made = []
    ask(0, made=made, path="/a")
    assert made == []
    ask(0, made=made, path="/b")
    assert len(made) == 1
    assert ask(0, path="/large", answer="x" * 200) == b'"' + b"x" * 200 + b'"'
    assert small.currsize <= 100


@pytest.mark.django_db
def test_redis_is_given_so_many_bytes_a_minute(tea, redis_cache, monkeypatch):
    """Who asks for a thousand pages nobody wants must not fill what holds the bell, too."""
    monkeypatch.setattr(caching, "SHARED_BYTES_A_MINUTE", 100)
    monkeypatch.setattr(caching, "_shared_bytes", LocalWindow())
    for number in range(10):
        assert ask(0, path=f"/{number}", answer="x" * 38) == b'"' + b"x" * 38 + b'"'
    kept = redis_cache._cache.get_client().keys("*")
    assert len(kept) == 2  # of 40 bytes each


@pytest.mark.django_db
def test_new_release_does_not_give_out_an_old_ones_answers(head_office, tea, monkeypatch):
    etag = head_office.get(PRODUCTS)["ETag"]
    monkeypatch.setattr(caching, "_read_release", lambda: "next")
    assert known(head_office, PRODUCTS, etag).status_code == 200
