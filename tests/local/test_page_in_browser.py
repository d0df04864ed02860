"""The pages of the local Import API in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from tests.local.calls import CUSTOMERS, batch, call, customers, fill, send, upsert
from tests.support.axe import violations
from tests.support.browser import Browser, chromium
from tests.support.programs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
EVIL_TABLE = '<img src=x onerror="window.owned=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One tab for the module's tests."""
    program = chromium()
    if program is None:
        skip_without("Chromium")
    with Browser(program) as tab:
        tab.size(1280, 1000)
        yield tab


@pytest.mark.timeout(60)
def test_requests_appear_as_they_come_in(api: ImportApi, browser: Browser, tmp_path: Path) -> None:
    """Without a reload, and without requests to other hosts."""
    browser.open(f"{api.url}/")
    assert "Waiting for the first request" in browser.run("document.body.innerText")
    fill(api)
    browser.wait_for("document.body.innerText.includes('orders__tags')")
    assert browser.run("document.querySelectorAll('.badge.good').length") == 3
    assert browser.run("document.querySelectorAll('.badge.bad').length") == 2
    assert browser.run("document.querySelector('.plot .line').getBBox().height") > 10
    assert all(address.startswith(f"{api.url}/") for address in browser.addresses())
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.timeout(60)
def test_a_click_leads_to_the_rows(api: ImportApi, browser: Browser) -> None:
    fill(api)
    browser.open(f"{api.url}/")
    browser.click("a[href$='/orders']")
    assert browser.run("location.pathname") == "/table/import_api/orders"
    head = browser.run("[...document.querySelectorAll('.data th')].map((each) => each.innerText)")
    assert [each.split() for each in head[:2]] == [["id", "BIGINT", "key"], ["total", "DOUBLE"]]
    row = browser.run("[...document.querySelectorAll('.data tbody tr:first-child td')].map("
                      "(each) => each.innerText)")  # fmt: skip
    assert row[:2] == ["1", "2.5"]


@pytest.mark.timeout(60)
def test_column_names_stay_visible_while_scrolling(api: ImportApi, browser: Browser) -> None:
    """Rows scroll below them, and a narrow window scrolls tables, not the page."""
    wide = {f"column_{at}": at for at in range(30)}
    send(api, batch("t", *[upsert(wide | {"id": at}) for at in range(100)], keys=("id",)))
    fill(api)
    browser.open(f"{api.url}/table/import_api/t")
    browser.run("document.querySelector('.rows').scrollTo(0, 1500)")
    top = "document.querySelector('{}').getBoundingClientRect().top"
    assert browser.run(f"{top.format('.rows th')} - {top.format('.rows')}") == 0
    browser.size(390, 800)
    for path in ("/", "/table/import_api/t", "/request/1", "/request/5"):
        browser.open(api.url + path)
        assert browser.run("document.documentElement.scrollWidth") == 390
    browser.size(1280, 800)


@pytest.mark.timeout(60)
def test_nothing_from_data_becomes_markup(api: ImportApi, browser: Browser) -> None:
    """Names, values, reasons and faults are only ever text."""
    clashing = upsert({"id": 1, EVIL: EVIL, "x": 1, "X": 2})
    send(api, batch(EVIL_TABLE, clashing, keys=("id",)))
    send(api, batch(EVIL_TABLE, upsert({"id": 1, EVIL: EVIL}), keys=("id",)))
    call(api, body={EVIL: 1})
    call(api, f"/{EVIL}")
    api.set_faults([{"kind": "status", "status": 400, "body": EVIL, "table": EVIL}])
    browser.open(f"{api.url}/")
    counted = "document.querySelectorAll('main img, main script:not([src])').length"
    assert browser.run(counted) == 0
    assert EVIL in browser.run("document.body.innerText")
    browser.click("tbody th a")
    assert browser.run(counted) == 0
    assert EVIL in browser.run("document.body.innerText")
    assert browser.run("window.owned === undefined")


@pytest.mark.timeout(60)
def test_injected_markup_runs_no_script(api: ImportApi, browser: Browser) -> None:
    """The second line of defence: the page's policy lets no inline script run."""
    browser.open(f"{api.url}/")
    browser.run(
        "new Promise((done) => { const main = document.querySelector('main');"
        f" main.insertAdjacentHTML('beforeend', `{EVIL}`);"
        " main.querySelector('img').addEventListener('error', () => done(true)); })"
    )
    assert browser.run("window.owned === undefined")
    assert browser.complaints() != []


@pytest.mark.timeout(60)
def test_search_and_order_need_no_reload(api: ImportApi, browser: Browser) -> None:
    """They are kept in the URL, and while requests come in."""
    fill(api)
    browser.open(f"{api.url}/")
    browser.run("window.same = true")
    listed = (
        "[...document.querySelectorAll('#live-tables tbody th')].map((e) => e.innerText).join()"
    )
    browser.run("document.getElementById('q').focus()")
    browser.command("Input.insertText", text="order")
    browser.wait_for(f"{listed} === 'orders,orders__tags'")
    browser.run("document.querySelector('a[href*=\"sort=rows\"]').click()")
    browser.wait_for(f"{listed} === 'orders__tags,orders'")
    send(api, batch("orders_new", *[upsert({"n": at}) for at in range(9)]), customers())
    browser.wait_for(f"{listed} === 'orders_new,orders__tags,orders'")
    assert browser.run("document.getElementById('q').value") == "order"
    assert browser.run("location.search") == "?q=order&sort=rows"
    assert browser.run("window.same")


@pytest.mark.timeout(60)
def test_a_table_page_refreshes_and_keeps_the_focus(api: ImportApi, browser: Browser) -> None:
    """Rows appear without a reload."""
    send(api, batch("t", upsert({"n": 1})))
    browser.open(f"{api.url}/table/import_api/t")
    browser.run("document.querySelector('.rows').focus()")
    send(api, batch("t", upsert({"n": 2, "m": [1]})))
    browser.wait_for("document.querySelectorAll('.data tbody tr').length === 2")
    assert "t__m" in browser.run("document.body.innerText")
    assert browser.run("document.activeElement.classList.contains('rows')")


@pytest.mark.timeout(60)
def test_the_page_says_that_the_server_does_not_respond(browser: Browser) -> None:
    with ImportApi() as api:
        browser.open(f"{api.url}/")
        assert browser.run("document.getElementById('away').innerText") == ""
    browser.wait_for("document.body.innerText.includes('The server does not respond')")


PAGES = {
    "empty": "/",
    "overview": "/?sort=rows&show=refused",
    "table": "/table/import_api/orders",
    "subtable": "/table/import_api/orders__tags",
    "rejected": "/table/import_api/bad",
    "accepted": "/request/1",
    "refused": "/request/4",
    "no JSON": "/request/6",
    "fault": "/request/7",
    "none": "/request/0",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_are_accessible(api: ImportApi, *, dark: bool) -> None:
    """Labels, contrast, keyboard: axe-core finds no violation, at any width."""
    program = chromium()
    if program is None:
        skip_without("Chromium")
    with Browser(program, dark=dark) as tab:
        for name, path in PAGES.items():
            if name == "overview":
                fill(api)
                call(api, data=b"{no}")
                api.set_faults([{"kind": "status", "status": 500, "times": 2}])
                call(api, body=CUSTOMERS)
            for width in (390, 768, 1280):
                tab.size(width, 900)
                tab.open(api.url + path)
                assert violations(tab) == [], (name, width)
                assert tab.run("document.documentElement.scrollWidth") == width, name
