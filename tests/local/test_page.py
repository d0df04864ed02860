"""The page at `/`: what it says over HTTP, and what a real browser makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import requests

from target_stitch_import.local.server.plot import POINTS, plot
from tests.local.calls import CUSTOMERS, batch, call, customers, send, upsert
from tests.support.browser import Browser, chromium
from tests.support.programs import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_stitch_import.local import ImportApi

EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
EVIL_TABLE = '<img src=x onerror="window.owned=1">'


def page(api: ImportApi, path: str = "/") -> str:
    """Get a page as text."""
    answer = requests.get(api.url + path, timeout=10)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return answer.text


def fill(api: ImportApi) -> None:
    """Bring in some of everything."""
    send(
        api,
        customers(),
        batch("orders", upsert({"id": 1, "total": 2.5, "tags": ["a", "b"]}), keys=("id",)),
        batch("bad", upsert({"id": 1, "Name": 1, "name": 2}), keys=("id",)),
    )
    call(api, body=customers(data={"name": 5}), token="T1")  # noqa: S106 - made up
    call(api, body=CUSTOMERS, token="at_never-shown")  # noqa: S106 - made up


def test_the_page_tells_what_happened(api: ImportApi) -> None:
    fill(api)
    text = page(api)
    for words in (
        "orders__tags",
        "subtable of orders",
        "Field collision on [name]",
        "Record 0 did not conform to schema: #/name: expected: String, found: Integer",
        "Not Authorized",
        "1 rejected",
        "POST /v2/import/batch",
    ):
        assert words in text
    assert "at_never-shown" not in text
    assert not re.search(r"\bT1\b", text)
    assert "Faults are set" not in text
    api.set_faults([{"kind": "queue", "times": 3}])
    assert "Faults are set" in page(api)


def test_a_played_success_looks_like_none(api: ImportApi) -> None:
    """A 2xx of a fault took nothing in, and the page says so."""
    api.set_faults([{"kind": "status", "status": 201}])
    call(api, body=CUSTOMERS)
    text = page(api)
    assert '<span class="badge s2 no">201</span>' in text
    assert "Answered by a fault; nothing is stored." in text


def test_a_table_shows_its_rows(api: ImportApi) -> None:
    send(api, batch("t", *[upsert({"n": at}) for at in range(250)]))
    text = page(api, "/table/import_api/t?offset=200")
    assert "250 rows" in text
    assert "201 to 250" in text
    assert text.count("<tr>") == 51
    assert 'offset=100"' in text
    assert "Next" not in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/table/import_api/none", 404),
        ("/table/none/t", 404),
        ("/table/import_api/t?offset=x", 200),
        ("/table/import_api/t?offset=-1", 200),
        ("/table/import_api/t?offset=99999999999999999999", 200),
        ("/_page/nothing.css", 404),
        ("/_page/../server.py", 404),
        ("/_page/style.css", 200),
    ],
)
def test_addresses(api: ImportApi, path: str, status: int) -> None:
    send(api, batch("t", upsert({"n": 1})))
    assert requests.get(api.url + path, timeout=10).status_code == status


@pytest.mark.parametrize("name", ["a/b", "a b", "a?b#c", 'a"b', "a%2fb", "..", "é"])
def test_any_table_name_has_an_address(name: str) -> None:
    """Under rules that keep every character, as a wide profile might."""
    from target_stitch_import.local.server.page import _link  # noqa: PLC0415 - inside
    from target_stitch_import.local.warehouse.catalog import Table  # noqa: PLC0415 - inside

    link = _link(Table("s", name, name))
    assert link.startswith("/table/s/")
    assert not set(link) & set(' "?#')


@pytest.mark.parametrize(
    ("per_second", "words", "top"),
    [
        ({}, "one minute", 0),
        ({1000: 7}, "one minute", 7),
        ({941: 60, 1000: 7}, "one minute", 60),
        ({940: 60}, "one minute", 0),
        ({901: 60, 902: 40, 1000: 7}, "5 minutes", 20),
        ({200: 30, 1000: 7}, "15 minutes", 2),
    ],
)
def test_the_plot_spans_what_there_is(per_second: dict[int, int], words: str, top: int) -> None:
    drawn = plot(per_second, 1000)
    assert (drawn.words, drawn.top) == (words, top)
    assert drawn.line.count("L") == POINTS - 1


# --- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One tab for the module's tests."""
    program = chromium()
    if program is None:
        missing("Chromium")
    with Browser(program) as tab:
        tab.size(1280, 1000)
        yield tab


@pytest.mark.timeout(60)
def test_requests_appear_as_they_come_in(api: ImportApi, browser: Browser, tmp_path: Path) -> None:
    """Without a reload, and without asking any other host for anything."""
    browser.open(f"{api.url}/")
    assert "Waiting for the first request" in browser.run("document.body.innerText")
    fill(api)
    browser.wait_for("document.body.innerText.includes('orders__tags')")
    assert browser.run("document.querySelectorAll('.badge.s2').length") == 3
    assert browser.run("document.querySelectorAll('.badge.s4').length") == 2
    assert browser.run("document.querySelector('.plot .line').getBBox().height") > 10
    assert all(address.startswith(f"{api.url}/") for address in browser.addresses())
    assert f"{api.url}/_page/live" in browser.addresses()
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.timeout(60)
def test_a_click_leads_to_the_rows(api: ImportApi, browser: Browser) -> None:
    fill(api)
    browser.open(f"{api.url}/")
    browser.click("a[href$='/orders']")
    assert browser.run("location.pathname") == "/table/import_api/orders"
    head = browser.run("[...document.querySelectorAll('th')].map((each) => each.innerText)")
    assert [each.split()[:2] for each in head[:2]] == [["id", "BIGINT"], ["total", "DOUBLE"]]
    row = browser.run("[...document.querySelectorAll('tbody tr:first-child td')].map("
                      "(each) => each.innerText)")  # fmt: skip
    assert row[:2] == ["1", "2.5"]


@pytest.mark.timeout(60)
def test_the_columns_names_stay_in_sight(api: ImportApi, browser: Browser) -> None:
    """Rows scroll below them, and a narrow window scrolls tables, not the page."""
    wide = {f"column_{at}": at for at in range(30)}
    send(api, batch("t", *[upsert(wide | {"id": at}) for at in range(100)], keys=("id",)))
    fill(api)
    browser.open(f"{api.url}/table/import_api/t")
    browser.run("document.querySelector('.rows').scrollTo(0, 1500)")
    top = "document.querySelector('{}').getBoundingClientRect().top"
    assert browser.run(f"{top.format('.rows th')} - {top.format('.rows')}") == 0
    browser.size(390, 800)
    for path in ("/", "/table/import_api/t"):
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
    browser.click("td a")
    assert browser.run(counted) == 0
    assert EVIL in browser.run("document.body.innerText")
    assert browser.run("window.owned === undefined")


@pytest.mark.timeout(60)
def test_markup_that_got_in_could_do_nothing(api: ImportApi, browser: Browser) -> None:
    """The second line of defence: the page's policy lets no inline script run."""
    browser.open(f"{api.url}/")
    browser.run(
        "new Promise((done) => { const main = document.querySelector('main');"
        f" main.insertAdjacentHTML('beforeend', `{EVIL}`);"
        " main.querySelector('img').addEventListener('error', () => done(true)); })"
    )
    assert browser.run("window.owned === undefined")
    assert browser.complaints() != []
