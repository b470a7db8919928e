"""An entry tells nothing secret or personal, and no character of it does more than be read."""

import json

import pytest
from django.test import Client

from accounts import audit
from accounts.audit import Subject
from accounts.models import AuditEntry, User
from inventory_project.origin import Origin, find_origin
from stores import registry
from tests import office

pytestmark = pytest.mark.django_db

HARMFUL = {
    "a line end": ("a\nb\r\nc", "a\\x0ab\\x0d\\x0ac"),
    "a terminal's escape": ("\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"),
    "an 8-bit escape": ("\x9b31m", "\\x9b31m"),
    "NUL": ("a\0b", "a\\x00b"),
    "another reading direction": ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
    "line and paragraph separators": ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
    "what cannot be seen": ("a\u200bb\ufeffc", "a\\u200bb\\ufeffc"),
    "half a character": ("a\ud800b", "a\\ud800b"),
    "what looks escaped already": ("a\\x1bb", "a\\\\x1bb"),
}


@pytest.mark.parametrize(("text", "shown"), HARMFUL.values(), ids=HARMFUL)
def test_harmful_characters_are_escaped_in_every_field(text, shown):
    origin = Origin("nobody", None, text, text, text)
    audit.record(
        text[:8], Subject("person", text, text), origin=origin,
        before={"name": text, "list": [text], text: {"deep": text}},
        after={"name": "other", "list": [], text: {}},
    )  # fmt: skip
    entry = AuditEntry.objects.get()
    told = [entry.actor, entry.address, entry.request_id, entry.object_id, entry.object_name]
    assert told == [shown] * 5
    before = json.loads(entry.before)
    assert before == {"name": shown, "list": [shown], shown: {"deep": shown}}
    entry.refresh_from_db()
    everything = "".join(str(value) for value in vars(entry).values() if isinstance(value, str))
    assert everything.isprintable(), everything


def test_letters_of_any_script_stay_as_they_are():
    for text in ("کریانہ", "चाय ₹ 25", "茶", "Tea – 250 g", "é"):
        assert audit.escape(text) == text


def test_a_long_text_is_cut():
    audit.record("x", after={"name": "a" * 10_000, "path": ["b" * 10_000]})
    assert len(AuditEntry.objects.get().after) < 1_100


def test_secrets_and_personal_fields_are_hidden_but_that_they_changed_is_told():
    user = User.objects.create_user("sana", email="sana@example.org", first_name="Sana")
    user.email, user.last_name = "other@example.org", "Malik"
    user.set_password("a long and quiet password")
    user.save()
    added, changed = AuditEntry.objects.filter(object_type="person").order_by("id")
    assert json.loads(added.after)["email"] == "(hidden)"
    assert json.loads(changed.before) == {
        "password": "(hidden)", "last_name": "", "email": "(hidden)",
    }  # fmt: skip
    assert json.loads(changed.after) == {
        "password": "(hidden)", "last_name": "(hidden)", "email": "(hidden)",
    }  # fmt: skip
    everything = str(list(AuditEntry.objects.values()))
    for secret in ("example.org", "Sana", "Malik", "argon2", "quiet", user.password):
        assert secret not in everything


def test_columns_of_such_names_are_hidden_whatever_table_gets_them():
    for name in (
        "password", "secret_sha256", "token", "api_token", "contact_name", "contact", "phone",
        "email", "e_mail", "webhook_secret", "phone_cipher", "email_hash", "first_name",
    ):  # fmt: skip
        audit.record("x", after={name: "value", "name": "told"})
        assert json.loads(AuditEntry.objects.first().after) == {name: "(hidden)", "name": "told"}
    audit.record("x", after={"cipher": b"\x00\x01", "blob": memoryview(b"plain")})
    assert "plain" not in AuditEntry.objects.first().after


def test_the_secret_of_a_new_key_is_nowhere(lahore):
    issued = registry.issue_key(name="till", store=lahore)
    everything = str(list(AuditEntry.objects.values()))
    for secret in (issued.credential.partition(".")[2], issued.key.secret_sha256):
        assert secret not in everything
    assert json.loads(AuditEntry.objects.first().after)["secret_sha256"] == "(hidden)"


# --- the request's id --------------------------------------------------------------------------


def test_every_answer_has_an_id_of_its_own(till):
    ids = {till.get("/api/stores/current/")["X-Request-ID"] for _ in range(3)}
    ids |= {Client().get(path)["X-Request-ID"] for path in ("/admin/login/", "/nowhere", "/api/x")}
    assert len(ids) == 6
    assert all(len(one) == 32 and one.isalnum() for one in ids)


@pytest.mark.parametrize("is_behind_gateway", [True, False])
def test_only_a_gateway_may_give_an_id(settings, is_behind_gateway):
    settings.BEHIND_TLS_GATEWAY = is_behind_gateway
    answer = Client().get("/api/stores/", headers={"X-Request-ID": "gateway-12345"})
    assert (answer["X-Request-ID"] == "gateway-12345") == is_behind_gateway
    entry = AuditEntry.objects.get()
    assert entry.request_id == answer["X-Request-ID"]


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "a b c d e f", "tabs\there", "<script>", "é" * 9]
)
def test_an_id_that_is_none_is_replaced(settings, given):
    settings.BEHIND_TLS_GATEWAY = True
    answer = Client().get("/api/stores/", headers={"X-Request-ID": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 32


def test_one_request_does_not_leave_its_id_to_the_next(lahore):
    office.head_of_chain().get("/admin/")
    assert find_origin().kind == "program"
    registry.change_store(lahore, name="Other")
    assert AuditEntry.objects.first().request_id == ""
