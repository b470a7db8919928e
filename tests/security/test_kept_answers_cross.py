"""Two that ask the same address at once never get each other's answer."""

import random
import threading

from django.db import connections

from stores import registry
from tests import make

QUESTIONS = 1_000
THREADS = 4
PATHS = ("/api/stores/", "/api/stores/?limit=50", "/api/stores/?retired=false")


def test_a_thousand_interleaved_questions_cross_nowhere(committed):
    shops = {code: make.make_store(code) for code in ("LHR-01", "KHI-02")}
    askers = [(make.make_device(store), {code}) for code, store in shops.items()]
    askers.append((make.make_head_office(), set(shops)))
    etags, owner, crossed, answers = ["none"], {}, [], {200: 0, 304: 0}

    def ask(seed):
        lot = random.Random(seed)
        for turn in range(QUESTIONS // THREADS):
            api, allowed = lot.choice(askers)
            known = lot.choice(etags[-12:])
            headers = api._headers() | {"If-None-Match": known}
            answer = api.client.get(lot.choice(PATHS), headers=headers)
            answers[answer.status_code] += 1
            seen = {store["code"] for store in answer.json()["results"]} if answer.content else None
            # An answer that a change overtook has no tag; a tag belongs to whom it was given.
            etag = answer.get("ETag", f"none {seed} {turn}")
            if seen not in (None, allowed) or owner.setdefault(etag, allowed) != allowed:
                crossed.append((seen, allowed, etag))
            etags.append(etag)
            if turn % 25 == 0:  # so that there is something to make anew
                registry.change_store(shops[lot.choice(list(shops))], name=f"Shop {seed} {turn}")
        connections.close_all()

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crossed == []
    assert sum(answers.values()) == QUESTIONS
    assert min(answers.values()) > 20, answers
