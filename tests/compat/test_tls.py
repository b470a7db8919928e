"""In production these addresses, too, are spoken over TLS only."""

import pytest
from django.test import Client, override_settings

from tests.bad_input.doors import is_problem
from tests.compat.calls import all_calls
from tests.databases import unchanged

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("row", range(len(all_calls(1, 1))))
def test_call_without_tls_is_refused_and_not_redirected(
    till, lahore, tea, row, django_assert_num_queries
):
    call = all_calls(lahore.pk, tea.pk)[row]
    with override_settings(PRODUCTION=True, SECURE_SSL_REDIRECT=True):
        client = Client()
        with unchanged(), django_assert_num_queries(0):
            answer = client.generic(
                call.method, call.path, b"{}", "application/json", headers=till._headers()
            )
            is_problem(answer, 403, "https_needed")
        assert "Location" not in answer
        secure = client.get("/allStores", headers=till._headers(), secure=True)
    assert (secure.status_code, secure["Cache-Control"]) == (200, "private, no-cache")
