"""Over real HTTP, two servers and a Redis that goes and comes back: never open, never 500."""

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from inventory_project.windows import SILENCE_AFTER_FAILURE_S
from script.private_servers import PrivateValkey
from tests import make
from tests.web import running_web

pytestmark = pytest.mark.sqlite  # they count the same beside every database
UNITS = 6
CURRENT, SALES, LOG_IN = "/api/stores/current/", "/api/orders/sales/", "/admin/login/"


@pytest.fixture
def servers(committed, tmp_path):
    """(both addresses, their Redis)"""
    with PrivateValkey(tmp_path) as valkey:
        settings = {"LIMIT_DEVICE": f"{UNITS}", "LIMIT_ANONYMOUS": "40", "REDIS_URL": valkey.url}
        with running_web(**settings) as one, running_web(**settings) as two:
            yield (one, two), valkey


def send(url, path, *, credential="", body=None):
    """(status, content type)"""
    headers = {"Authorization": f"Api-Key {credential}"} if credential else {}
    data = json.dumps(body).encode() if body is not None else None
    headers |= {"Content-Type": "application/json"} if data else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url + path, data, headers), timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"]


def log_in(url):
    """Status of a try with the right password."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    page = opener.open(url + LOG_IN, timeout=20).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"username": "head", "password": "correct horse battery", "csrfmiddlewaretoken": token}
    try:
        return opener.open(url + LOG_IN, urllib.parse.urlencode(form).encode(), timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def ask_in_turn(urls, credential, times):
    return [send(url, CURRENT, credential=credential)[0] for _ in range(times) for url in urls]


def test_redis_goes_and_comes_back(servers):
    urls, valkey = servers
    make.make_superuser("head")
    make.make_product()
    tills = [make.make_device(make.make_store(f"S-{n}")).credential for n in range(4)]
    assert ask_in_turn(urls, tills[0], UNITS).count(200) == UNITS  # together
    assert log_in(urls[0]) == 200

    valkey.kill()
    # Devices: each process by itself, up to the limit and no further.
    assert ask_in_turn(urls, tills[1], UNITS + 2) == [200] * 2 * UNITS + [429] * 4
    # Those who had spent it stay refused where they spent it.
    assert set(ask_in_turn(urls, tills[0], UNITS)) == {200, 429}
    # A sale is taken, then refused like the rest; never 500, and always a problem document.
    answers = [send(urls[0], SALES, credential=tills[2], body=make.sale()) for _ in range(9)]
    assert [status for status, _ in answers] == [202] * UNITS + [429] * 3
    assert {kind for status, kind in answers if status == 429} == {"application/problem+json"}
    # Strangers are bounded too.
    strangers = [send(urls[0], CURRENT)[0] for _ in range(60)]
    assert set(strangers) == {401, 429}
    assert strangers.count(401) <= 40
    # People: nobody logs in, also with the right password, and it is said so.
    assert [log_in(url) for url in urls] == [503, 503]

    valkey.start()
    time.sleep(SILENCE_AFTER_FAILURE_S + 0.2)
    for url in urls:  # the first one asks whether it is back
        send(url, CURRENT, credential=tills[1])
    assert ask_in_turn(urls, tills[3], UNITS).count(200) == UNITS  # together again
    assert log_in(urls[1]) == 200
