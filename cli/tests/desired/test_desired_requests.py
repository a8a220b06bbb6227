"""What the network team is asked for: each connection that crosses a firewall, once, and nothing else."""

from __future__ import annotations

import csv
import io

from sites import release, site

from deployctl.desired.flows import site_flows
from deployctl.desired.placement import placement
from deployctl.desired.requests import as_csv, requests

SHOP = release(
    {"web": {"x": {"segment": "dmz"}}, "api": {"x": {"segment": "internal"}}, "job": {"x": {"segment": "internal"}},
     "db": {"x": {"segment": "data"}}},
    [("clients", "web", 8443), ("web", "api", 8000), ("api", "db", 5432), ("job", "db", 5432), ("job", "crm", 443),
     ("job", "api", 8000)],
)  # fmt: skip
PLACE = site(networks={"clients": {"cidr": ["10.77.50.0/24"]}}, externals={"crm": {"address": "10.77.60.5"}})
FLOWS = site_flows(SHOP, PLACE, placement(SHOP, PLACE))


def test_every_connection_that_crosses_a_firewall_is_a_row_and_none_within_a_segment() -> None:
    rows = {(r.direction, r.source, r.destination, r.port) for r in requests(FLOWS, PLACE)}
    assert {row for row in rows if row[0] == "management"} == {
        ("management", "deploy", host.name, 22) for host in PLACE.targets
    }
    apps = [host.name for host in PLACE.segments["internal"]]
    assert {row for row in rows if row[0] != "management"} == {
        ("in", "clients", "web1", 8443),
        *(("between segments", "web1", app, 8000) for app in apps),
        *(("between segments", app, "db1", 5432) for app in apps),
        *(("out", app, "crm", 443) for app in apps),
    }
    assert any((r.source, r.destination) == tuple(apps[:2]) for r in requests(FLOWS, PLACE, within=True))


def test_one_rule_serves_several_services() -> None:
    (row,) = [r for r in requests(FLOWS, PLACE) if (r.source, r.destination) == ("app1", "db1")]
    assert row.purpose == "api → db; job → db"
    assert (row.source_address, row.destination_address, row.protocol) == ("10.77.20.11", "10.77.30.11", "tcp")


def test_the_table_is_read_back_as_it_was_written() -> None:
    rows = requests(FLOWS, PLACE)
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [(row["source address"], row["port"], row["purpose"]) for row in read] == [
        (row.source_address, str(row.port), row.purpose) for row in rows
    ]
