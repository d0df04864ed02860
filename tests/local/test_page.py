"""The pages of the local Import API: what they say over HTTP."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
import requests

from target_stitch_import.local import ImportApi
from target_stitch_import.local.server.plot import POINTS, plot
from tests.local.calls import CUSTOMERS, PUSHED, batch, call, customers, fill, send, upsert


def page(api: ImportApi, path: str = "/") -> str:
    """Get a page as text."""
    answer = requests.get(api.url + path, timeout=10)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return answer.text


def test_the_page_shows_what_happened(api: ImportApi) -> None:
    fill(api)
    text = page(api)
    for words in (
        "orders__tags</a>",
        '<span class="quiet">subtable</span>',
        "Field collision on [name]",
        "400 refused",
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


def test_a_success_by_fault_is_not_shown_as_accepted(api: ImportApi) -> None:
    """A 2xx from a fault stores nothing, and the page says so."""
    api.set_faults([{"kind": "status", "status": 201}])
    call(api, body=CUSTOMERS)
    text = page(api)
    assert '<span class="badge warn">201</span> <span class="badge fault">fault: status' in text
    assert "Answered by a fault; nothing is stored." in text


def test_a_table_shows_its_rows(api: ImportApi) -> None:
    send(api, batch("t", *[upsert({"n": at}) for at in range(250)]))
    text = page(api, "/table/import_api/t?offset=200")
    assert "250 rows" in text
    assert "201 to 250 of 250" in text
    assert text.count('<td class="n">') == 50
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
        ("/request/1", 200),
        ("/request/2", 404),
        ("/request/x", 404),
        ("/request/99999999999999999999", 404),
        ("/?sort=nonsense&show=nonsense&q=%22%3E", 200),
    ],
)
def test_each_path_has_its_status(api: ImportApi, path: str, status: int) -> None:
    send(api, batch("t", upsert({"n": 1})))
    assert requests.get(api.url + path, timeout=10).status_code == status


@pytest.mark.parametrize("name", ["a/b", "a b", "a?b#c", 'a"b', "a%2fb", "..", "é"])
def test_any_table_name_has_an_address(name: str) -> None:
    """Under rules that keep every character, as a wide profile might."""
    from target_stitch_import.local.server.views import _link  # noqa: PLC0415 - inside
    from target_stitch_import.local.warehouse.catalog import Table  # noqa: PLC0415 - inside

    link = _link(Table("s", name, name))
    assert link.startswith("/table/s/")
    assert not set(link) & set(' "?#')


@pytest.mark.parametrize(
    ("per_second", "words", "peak"),
    [
        ({}, "one minute", 0),
        ({1000: 7}, "one minute", 7),
        ({941: 60, 1000: 7}, "one minute", 60),
        ({940: 60}, "one minute", 0),
        ({901: 60, 902: 40, 1000: 7}, "5 minutes", 20),
        ({200: 30, 1000: 7}, "15 minutes", 2),
    ],
)
def test_the_plot_spans_the_recorded_time(
    per_second: dict[int, int], words: str, peak: int
) -> None:
    drawn = plot(per_second, 1000)
    assert (drawn.words, drawn.peak) == (words, peak)
    assert drawn.line.count("L") == POINTS - 1


# --- the overview


def names(text: str) -> list[str]:
    """Return the tables that a page lists, in order."""
    return re.findall(r'title="import_api\.([^"]+)"', text)


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ("", ["alpha", "beta", "gamma", "gamma__xs"]),
        ("?sort=rows", ["beta", "gamma__xs", "alpha", "gamma"]),
        ("?sort=rejected", ["gamma", "alpha", "beta", "gamma__xs"]),
        ("?sort=loaded", ["gamma", "gamma__xs", "beta", "alpha"]),
        ("?q=GAM", ["gamma", "gamma__xs"]),
        ("?q=a&sort=rows", ["beta", "gamma__xs", "alpha", "gamma"]),
        ("?q=%3Cb%3E", []),
    ],
)
def test_tables_are_searched_and_ordered(api: ImportApi, asked: str, listed: list[str]) -> None:
    clash = upsert({"id": 2, "Name": 1, "name": 2}, 2)
    send(api, batch("alpha", upsert({"id": 1}), keys=("id",)))
    send(api, batch("beta", *[upsert({"id": at}, at) for at in range(5)], keys=("id",)))
    send(api, batch("gamma", upsert({"id": 1, "xs": [1, 2, 3]}), clash, keys=("id",)))
    text = page(api, f"/{asked}")
    assert names(text) == listed
    assert "<b>" not in text.partition("live-tables")[2].partition("</div>")[0]


def test_thousands_of_tables_are_cut(api: ImportApi) -> None:
    """The page says so, and the search finds every one of them."""
    arrays = {f"a{at}": [at] for at in range(600)}
    send(api, batch("t", upsert({"id": 1, **arrays}), keys=("id",)))
    text = page(api)
    assert len(names(text)) == 500
    assert "601 tables, by name" in text
    assert "and 101 more: search for them" in text
    assert names(page(api, "/?q=a599")) == ["t__a599"]
    assert "and 500 more" in page(api, "/table/import_api/t")


def test_validated_records_do_not_count_as_loaded(api: ImportApi) -> None:
    """The overview compares rows with the records that were stored; a plot needs some."""
    assert call(api, "/v2/import/validate", PUSHED).status_code == 200
    text = page(api)
    assert "in 0 tables, of 0 records" in text
    assert "Records per second" not in text


def test_requests_can_be_filtered(api: ImportApi) -> None:
    """All, refused ones, those with rejected records, and those with a fault."""
    fill(api)
    api.set_faults([{"kind": "latency", "seconds": 0}, {"kind": "latency", "seconds": 0.001},
                    {"kind": "queue"}])  # fmt: skip
    call(api, body=customers())
    found = {
        show: re.findall(r'href="/request/(\d+)"', page(api, f"/?show={show}"))
        for show in ("", "refused", "rejected", "faults")
    }
    assert found == {
        "": ["6", "5", "4", "3", "2", "1"],
        "refused": ["5", "4"],
        "rejected": ["3"],
        "faults": ["6"],
    }
    assert "fault: latency and queue" in page(api)


def test_rejected_records_are_grouped_by_reason(api: ImportApi) -> None:
    """A line per table and reason, however many records and values, with an example."""
    numbers = [upsert({"id": at, "n": 10**20 + at}, at) for at in range(30)]
    clashes = [upsert({"id": at, "Name": 1, "name": 2}, at) for at in range(20)]
    send(api, batch("nums", *numbers, keys=("id",)), batch("bad", *clashes, keys=("id",)))
    send(api, batch("bad", upsert({"id": 1}), keys=("id",)))
    groups = {
        path: re.findall(
            r'<td class="reason">([^<]*)</td>\s*<td class="n"[^>]*>(\d+)<', page(api, path)
        )
        for path in ("/", "/table/import_api/bad")
    }
    collision = ("Field collision on [name]", "20")
    assert groups == {
        "/": [("integer out of range for PostgreSQL", "30"), collision],
        "/table/import_api/bad": [collision],
    }
    assert re.findall(r"<dt>Rejected</dt><dd><b>(\d+)", page(api)) == ["50"]
    example = re.findall(r'<td class="example"><code>([^<]*)', page(api))[1]
    assert html.unescape(example).endswith(',"Name":1,"name":2}')


# --- a table


def test_a_table_shows_why_its_columns_exist(api: ImportApi) -> None:
    """Keys are marked; changes by a second type or a longer number are explained."""
    for at, cost in enumerate(["3.14", "10", "0.12345678901234567891", '"free"']):
        data = '{"id":%d,"cost":%s}' % (at, cost)  # noqa: UP031 - braces
        body = f'[{{"client_id":7723,"table_name":"t","sequence":{at},"data":{data},'
        body += '"key_names":["id"],"action":"upsert"}]'
        assert call(api, "/v2/import/push", data=body.encode()).status_code == 201
    text = page(api, "/table/import_api/t")
    columns = text.partition('id="columns"')[2]
    assert 'id <span class="tag">key</span>' in columns
    for words in (
        "DOUBLE: its first value arrived",
        "BIGINT: an integer arrived for cost, whose column cost has numbers",
        "DECIMAL(38,20): was DOUBLE, which would change a number that arrived",
        "VARCHAR: a text arrived for cost, whose column cost has numbers",
        "set while loading",
    ):
        assert words in columns


def test_tables_lead_to_their_subtables_and_back(api: ImportApi) -> None:
    fill(api)
    assert 'href="/table/import_api/orders__tags"' in page(api, "/table/import_api/orders")
    sub = page(api, "/table/import_api/orders__tags")
    assert 'A subtable of <a href="/table/import_api/orders">orders</a>' in sub
    assert '<span class="tag">key of its root</span>' in sub


# --- a request


BAD_PUSH = {**PUSHED[0], "sequence": "x", "data": {"name": 1}}


@pytest.mark.parametrize(
    ("path", "body", "marked"),
    [
        (
            "/v2/import/batch",
            customers(data={"id": 1, "name": 5, "age": "x"}),
            ['"name": 5,', '"age": "x",'],
        ),
        (
            "/v2/import/batch",
            batch("t", {"action": "activate_version", "sequence": 1}, upsert({"id": 1}),
                  upsert({"a": 1}), keys=("id",)),
            ['"data": {'],
        ),
        ("/v2/import/batch", {"table_name": "t", "schema": {}, "messages": [{"action": 5}]},
         ["{"]),
        (
            "/v2/import/batch",
            batch("t", upsert({"a b": 5, "c:d": 6, "e: f": 7}),
                  schema={"additionalProperties": {"type": "string"}}),
            ['"a b": 5,', '"c:d": 6,', '"e: f": 7'],
        ),
        ("/v2/import/batch", [], ["[]"]),
        ("/v2/import/batch", {"table_name": "t", "schema": {}, "messages": []}, ['"messages": []']),
        ("/v2/import/push", [PUSHED[0], BAD_PUSH], ['"sequence": "x",']),
        ("/v2/import/push", [{**PUSHED[0], "a/b": 1}], ['"a/b": 1']),
        ("/v2/import/push", [PUSHED[0], {"client_id": 7723}], ["{"]),
        ("/v2/import/push", [PUSHED[0], 5], ["5"]),
    ],
)  # fmt: skip
def test_a_request_marks_what_is_invalid(
    api: ImportApi, path: str, body: Any, marked: list[str]
) -> None:
    assert call(api, path, body).status_code in (400, 422)
    text = html.unescape(page(api, "/request/1"))
    assert re.findall(r"<mark>(.*?)  ← here</mark>", text) == marked
    assert text.count('<span class="badge bad">invalid</span>') == 1
    assert "T1" not in text


def test_a_request_names_the_invalid_places(api: ImportApi) -> None:
    """As JSON Pointers in the form of the errors; the body as a whole has one, too."""
    call(api, body=customers(data={"id": 1, "age": "x"}))
    call(api, body={"messages": []})
    assert "Invalid: <code>#/messages/0/data/age</code>" in page(api, "/request/1")
    call(api, body=[])
    assert "Invalid: <code>#</code>" in page(api, "/request/3")


def test_a_header_that_may_be_a_secret_is_not_shown(api: ImportApi) -> None:
    headers = {"Authorization": "Bearer T1", "X-Key": "at_secret", "User-Agent": "my-client/1"}
    requests.post(f"{api.url}/v2/import/batch", json=CUSTOMERS, headers=headers, timeout=10)
    text = page(api, "/request/1")
    assert "my-client/1" in text
    assert "at_secret" not in text
    assert "T1" not in text


def test_a_body_that_is_not_json_shows_where(api: ImportApi) -> None:
    call(api, data=b'{"table_name": "t", "messages": [&]}')
    assert "[<mark>&amp;</mark>]}" in page(api, "/request/1")


def test_a_request_of_many_messages_shows_the_invalid_one(api: ImportApi) -> None:
    """It comes first; of the others only the first few are shown."""
    messages = [upsert({"id": at, "name": "x"}, at) for at in range(300)]
    messages[257] = upsert({"id": 257, "name": 7}, 257)
    call(api, body={**CUSTOMERS, "messages": messages})
    titles = re.findall(r"<summary>([\w ]+?) ?<", page(api, "/request/1"))
    assert titles[:3] == ["Message 257", "All but the messages", "Message 0"]
    assert len(titles) == 22
    assert "and 279 more, not shown" in page(api, "/request/1")


@pytest.mark.parametrize(("kept_bytes", "words"), [(None, "Finn"), (0, "is no longer kept")])
def test_an_accepted_request_is_shown(kept_bytes: int | None, words: str) -> None:
    with ImportApi(kept_bytes=kept_bytes) as api:
        call(api, body=CUSTOMERS)
        text = page(api, "/request/1")
        assert words in text
        assert "Batch Accepted!" in text
        assert '<span class="badge good">201</span>' in text
