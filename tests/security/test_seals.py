"""Whoever changes what was sealed, with all rights in the database, is found out."""

import io
import json
import os
import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone as clock

from accounts.models import AuditEntry, AuditSeal
from accounts.sealing import to_seal
from catalog.models import ProductChange
from catalog.sealing import AUDITED, check_audited
from inventory_project import sealing as engine
from inventory_project.heads import read_heads, write_heads, write_restored
from stock import ledger
from stock.ledger import Line
from stock.models import LedgerHead, LedgerSeal, Movement
from stock.sealing import FIELDS, MOVEMENT_COLUMNS, chain_of, check_store, seal_all
from tests import make
from tests.security.superuser import Mutant, all_rights, change_for_good, without_checks

KEYS = {"one": b"1" * 32}
MODELS = (AuditEntry, ProductChange, Movement, AuditSeal, LedgerSeal)
# More by hand: MUTATIONS=20000 .venv/bin/python -m pytest tests/security/test_seals.py -k random
MUTATIONS = int(os.environ.get("MUTATIONS", "1000"))


def move(store, count, sku="TEA"):
    lines = [
        Line(
            event_id=uuid.uuid4(), kind="receipt", sku=sku, quantity=1000, amount=place or None,
            occurred_at=datetime(2026, 3, 1, 6, tzinfo=UTC), receipt=f"R-{place}",
        )
        for place in range(count)
    ]  # fmt: skip
    ledger.move_by_hand(store=store, lines=lines, actor_id=None, device_id=None)


@pytest.fixture
def sealed(committed, lahore, karachi, tea, monkeypatch, tmp_path, settings):
    """Two stores, a catalogue and an audit, each under several seals, whose heads are told."""
    monkeypatch.setattr(engine, "SEAL_ROWS_MAX", 16)
    settings.AUDIT_HEADS_FILE = tmp_path / "heads.jsonl"
    for number in range(30):
        make.make_product(f"SKU-{number}", barcodes=["A-1"])
    last = AuditEntry.objects.first()
    for nth in range(1, 20):  # with gaps, as changes leave that were taken back
        AuditEntry.objects.create(
            id=last.pk + 3 * nth, action="store.changed", actor_kind="nobody", before='{"a": 1}'
        )
    for _ in range(3):
        move(lahore, 15), move(karachi, 9)
        tell(seal_all(KEYS))
    return lahore, karachi


def tell(made):
    write_heads(configured.AUDIT_HEADS_FILE, made.heads, clock.now())
    return made


def heads():
    return read_heads(configured.AUDIT_HEADS_FILE)


def find_wrong(alias="default", told=None):
    """Everything that is wrong, by chain."""
    told = heads() if told is None else told
    found = [c.wrong for c in check_audited(KEYS, heads=told, using=alias).values()]
    for head in LedgerHead.objects.using(alias).all():
        found.append(check_store(head.pk, KEYS, heads=told, using=alias).wrong)
    return [(wrong.chain, wrong.problem, wrong.detail) for wrong in found if wrong]


def find_wrong_of(model, group, alias, told):
    """The same of the chain that a mutation was in, which is quicker."""
    if model in (Movement, LedgerSeal):
        return check_store(group, KEYS, heads=told, using=alias).wrong
    found = check_audited(KEYS, heads=told, using=alias).values()
    return next((c.wrong for c in found if c.wrong), None)


def test_what_nobody_changed_holds(sealed):
    assert find_wrong() == []
    rows = {c.name: checked.rows for c, checked in check_audited(KEYS, heads=heads()).items()}
    assert rows == {"audit": AuditEntry.objects.count(), "catalog": 31}
    assert [check_store(store.pk, KEYS).rows for store in sealed] == [45, 27]
    assert LedgerSeal.objects.filter(store=sealed[0]).count() == 3
    assert AuditSeal.objects.filter(chain="audit").count() > 3


def test_random_changes_are_all_seen(sealed):
    told, seen, missed, kinds = heads(), 0, [], Counter()
    with all_rights() as alias:
        mutant = Mutant(2026, alias)
        for number in range(MUTATIONS):
            model = MODELS[number % len(MODELS)]
            point = transaction.savepoint(using=alias)
            what, group = mutant.mutate(model)
            wrong = find_wrong_of(model, group, alias, told)
            seen, kinds[what.split()[0]] = seen + bool(wrong), kinds[what.split()[0]] + 1
            missed += [] if wrong else [what]
            transaction.savepoint_rollback(point, using=alias)
        assert find_wrong(alias) == []
    print(f"{seen}/{MUTATIONS} seen: {dict(kinds)}")
    assert (missed, seen) == ([], MUTATIONS)
    assert min(kinds.values()) > MUTATIONS / 20 and len(kinds) == 5


def find_after(change):
    """What is wrong after a change by somebody with all rights."""
    with all_rights() as alias:
        change(alias)
        return find_wrong(alias)


def entries(alias, **filters):
    return AuditEntry.objects.using(alias).filter(**filters)


def test_the_first_altered_entry_is_named(sealed):
    ids = sorted(AuditEntry.objects.values_list("id", flat=True))
    for late in (ids[40], ids[7]):
        found = find_after(
            lambda a, late=late: entries(a, pk__in=[late, ids[45]]).update(actor="x")
        )
        assert found == [("audit", "altered", f"{late}")]


def test_the_first_removed_entry_is_named(sealed):
    ids = sorted(AuditEntry.objects.values_list("id", flat=True))
    place = ids.index(ids[20])
    found = find_after(lambda a: entries(a, pk__in=[ids[place], ids[44]])._raw_delete(a))
    assert found == [("audit", "removed", f"before {ids[place + 1]}, after {ids[place - 1]}")]


def test_the_first_inserted_entry_is_named(sealed):
    ids = set(AuditEntry.objects.values_list("id", flat=True))
    free = min(set(range(1, max(ids))) - ids)
    found = find_after(
        lambda a: AuditEntry(id=free, action="x", actor_kind="nobody").save(
            using=a, force_insert=True
        )
    )
    assert found == [("audit", "inserted", f"{free}")]


def test_a_movement_is_named_by_its_number(sealed):
    lahore = sealed[0]
    movements = Movement.objects.filter(store=lahore)
    found = find_after(lambda a: movements.using(a).filter(seq__in=[20, 33]).update(receipt="R-X"))
    assert found == [(f"ledger {lahore.pk}", "altered", "20")]
    found = find_after(lambda a: movements.using(a).filter(seq=31)._raw_delete(a))
    assert found == [(f"ledger {lahore.pk}", "removed", "before 32, after 30")]


def test_a_removed_seal_is_seen_wherever_it_stood(sealed):
    for place in (0, 1, 2):
        seal = LedgerSeal.objects.filter(store=sealed[0]).order_by("first_seq")[place]
        seals = LedgerSeal.objects.filter(store=sealed[0], first_seq=seal.first_seq)
        ((chain, problem, _),) = find_after(lambda a, seals=seals: seals.using(a)._raw_delete(a))
        assert (chain, problem) == (f"ledger {sealed[0].pk}", "seal removed")


def cut_off_tail(alias, store):
    """All of the newest seal, so that nothing inside the database tells that it was there."""
    last = LedgerSeal.objects.using(alias).filter(store=store).order_by("-first_seq").first()
    LedgerSeal.objects.using(alias).filter(store=store, first_seq=last.first_seq)._raw_delete(alias)
    movements = Movement.objects.using(alias).filter(store=store, seq__gte=last.first_seq)
    movements._raw_delete(alias)
    head = LedgerHead.objects.using(alias).filter(store=store)
    head.update(last_seq=last.first_seq - 1)


def test_a_tail_that_was_cut_off_is_told_by_the_heads_elsewhere(sealed):
    with all_rights() as alias:
        cut_off_tail(alias, sealed[0])
        assert find_wrong(alias, told={}) == []
        ((chain, problem, detail),) = find_wrong(alias)
        assert (chain, problem) == (f"ledger {sealed[0].pk}", "seal removed")
        assert detail == "a head elsewhere tells of a seal that ends at 45, and there is none"


def reseal(alias, store, keys):
    """Change a movement, and make the whole chain anew so that it fits."""
    Movement.objects.using(alias).filter(store=store, seq=5).update(receipt="FORGED")
    LedgerSeal.objects.using(alias).filter(store=store)._raw_delete(alias)
    store_seals(alias, store, keys, None)


def store_seals(alias, store, keys, tip):
    chain, now = chain_of(store.pk), clock.now()
    for seal in engine.make_seals(connections[alias], chain, keys, tip=tip, until=45, now=now):
        LedgerSeal.objects.using(alias).create(
            store=store, first_seq=seal.first, last_seq=seal.last, rows=seal.rows,
            marks=seal.marks, digest=seal.digest, head=seal.head, key_name=seal.key_name,
            form=seal.form, sealed_at=seal.sealed_at,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"one": b"2" * 32}, "seal altered"),
        ({"mine": b"2" * 32}, "key unknown"),
        (KEYS, "sealed anew"),  # by somebody who has the key: only the heads elsewhere tell
    ],
)
def test_a_chain_made_anew_is_seen(sealed, keys, problem):
    lahore = sealed[0]
    with all_rights() as alias:
        reseal(alias, lahore, keys)
        ((chain, found, detail),) = find_wrong(alias)
        assert (chain, found) == (f"ledger {lahore.pk}", problem)
        # Of one that is made well, what was told last is the first to differ.
        assert ("the seal 33 to 45" if keys is KEYS else "the seal 1 to 16") in detail
        is_seen_inside = find_wrong(alias, told={}) != []
        assert is_seen_inside == (keys is not KEYS)


def test_a_true_seal_of_another_past_does_not_fit(sealed, monkeypatch):
    """Both were made with the key, one before and one after a rewind: only their link tells."""
    monkeypatch.setattr(engine, "SEAL_ROWS_MAX", 15)  # both pasts are cut in the same places
    lahore = sealed[0]
    of_lahore = LedgerSeal.objects.filter(store=lahore)
    true = of_lahore.get(first_seq=16)
    with all_rights() as alias:
        movement = Movement.objects.using(alias).filter(store=lahore, seq=20)
        movement.update(receipt="FORGED")
        of_lahore.using(alias).filter(first_seq__gte=16)._raw_delete(alias)
        first = to_seal(of_lahore.using(alias).values_list(*FIELDS).get())
        store_seals(alias, lahore, KEYS, first)
        assert find_wrong(alias, told={}) == []
        movement.update(receipt="R-4")
        of_lahore.using(alias).filter(first_seq=16)._raw_delete(alias)
        LedgerSeal.objects.using(alias).bulk_create([true])
        ((_, problem, detail),) = find_wrong(alias, told={})
        assert (problem, detail.startswith("the seal 31 to 45")) == ("seal altered", True)


def test_a_row_below_the_first_number_is_seen(sealed):
    lahore = sealed[0]
    row = Movement.objects.filter(store=lahore, seq=7).values().get()
    new = Movement(**row | {"seq": 0, "event_id": uuid.uuid4()})
    with all_rights() as alias, without_checks(alias):
        Movement.objects.using(alias).bulk_create([new])
        assert find_wrong(alias) == [(f"ledger {lahore.pk}", "inserted", "0")]


def test_a_seal_of_another_chain_does_not_fit(sealed):
    lahore, karachi = sealed
    with all_rights() as alias:
        LedgerSeal.objects.using(alias).filter(store=karachi)._raw_delete(alias)
        LedgerSeal.objects.using(alias).filter(store=lahore).update(store=karachi)
        assert {wrong[1] for wrong in find_wrong(alias, told={})} >= {"seal altered"}


def test_a_new_key_seals_on_and_the_old_one_is_kept_to_check(sealed):
    lahore, _ = sealed
    move(lahore, 5)
    both = {"two": b"2" * 32, **KEYS}
    assert seal_all(both).movements == 5
    assert [check_store(lahore.pk, keys).wrong is None for keys in (both, KEYS)] == [True, False]
    wrong = check_store(lahore.pk, KEYS).wrong
    assert (wrong.problem, "key 'two'" in wrong.detail) == ("key unknown", True)


def test_sealing_costs_the_ledger_nothing_and_is_not_done_twice(sealed):
    assert seal_all(KEYS).movements == 0
    seals = LedgerSeal.objects.count()
    move(sealed[0], 3)
    assert LedgerSeal.objects.count() == seals
    made = seal_all(KEYS)
    assert (made.movements, made.stores, LedgerSeal.objects.count()) == (3, 1, seals + 1)


def test_few_new_movements_wait_for_their_seal(sealed, monkeypatch):
    move(sealed[0], 3)
    assert seal_all(KEYS, waits=True).movements == 0
    monkeypatch.setattr("stock.sealing.MOVEMENTS_TO_SEAL", 3)
    assert seal_all(KEYS, waits=True).movements == 3


def test_every_column_is_under_the_newest_seal():
    """A column that a migration adds is sealed by a new form; the old ones stay as they are."""
    models = {"audit": AuditEntry, "catalog": ProductChange}
    for chain in AUDITED:
        columns = {field.column for field in models[chain.name]._meta.concrete_fields}
        assert set(chain.forms[chain.newest_form]) == columns
    assert {field.column for field in Movement._meta.concrete_fields} == set(MOVEMENT_COLUMNS)


def run(*command):
    out = io.StringIO()
    try:
        call_command(*command, stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def by_command(sealed, settings):
    settings.AUDIT_SEAL_KEY = f"one:{KEYS['one'].hex()}"
    return sealed


def test_the_commands_say_that_all_is_whole(by_command):
    move(by_command[0], 3)
    code, said = run("sealaudit")
    assert code == 0 and "3 movements of 1 stores" in said
    code, said = run("checkaudit")
    assert code == 0 and "hold, 0 wait for a seal." in said
    code, said = run("checkledger", "--seals")
    assert code == 0 and "Seals over 75 movements of 2 stores: they hold.\n" in said


def test_the_commands_name_what_is_wrong_and_fail(by_command):
    lahore = by_command[0]
    first = AuditEntry.objects.last().pk
    change_for_good(f"UPDATE accounts_auditentry SET actor = 'x' WHERE id = {first}")
    change_for_good(
        f"UPDATE stock_movement SET receipt = 'x' WHERE store_id = {lahore.pk} AND seq = 20"
    )
    code, said = run("checkaudit")
    assert (code, f"then: altered ({first})" in said) == (1, True), said
    code, said = run("checkledger", "--seals")
    assert (code, f"ledger {lahore.pk}: altered (20)\n" in said) == (1, True), said
    code, said = run("checkledger", "--seals", "--json", "--store", "LHR-01")
    told = json.loads(said)
    assert (code, told["ok"], told["counts"]["balance_after"]) == (1, False, 0)
    assert told["broken_seals"] == [
        {"chain": f"ledger {lahore.pk}", "problem": "altered", "detail": "20"}
    ]


def test_a_file_of_heads_that_cannot_be_read_is_said(by_command, tmp_path):
    for command in (("checkaudit",), ("checkledger", "--seals")):
        with pytest.raises(CommandError, match=r"none.jsonl cannot be read: No such file"):
            run(*command, "--heads", str(tmp_path / "none.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"heads": {}}\n[1]\n')
    with pytest.raises(CommandError, match=r"Line 2 of .*bad.jsonl is no line of heads"):
        run("checkaudit", "--heads", str(tmp_path / "bad.jsonl"))


def test_heads_of_before_a_restore_are_not_compared(sealed):
    with all_rights() as alias:
        cut_off_tail(alias, sealed[0])
        write_restored(configured.AUDIT_HEADS_FILE, clock.now())
        assert find_wrong(alias) == []
