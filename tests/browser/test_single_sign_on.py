"""A browser asks the policy of the page also where the answer to a form leads: the provider's."""

import pytest

from tests.security import test_log_in_single_sign_on as single_sign_on

pytestmark = pytest.mark.sqlite  # as there

product = single_sign_on.product


def test_a_browser_goes_to_the_provider_and_comes_back(product, chromium):
    _, url, _ = product
    context = chromium.new_context(base_url=url)
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong = []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.goto("/admin/login/?next=/admin/sessions/")
    page.get_by_role("button", name="Log in with Example ID").click()
    page.wait_for_url(f"{url}/admin/sessions/")
    assert page.get_by_role("heading", name="My sessions").first.is_visible()
    assert wrong == []
    context.close()
