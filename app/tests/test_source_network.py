"""No request goes where it is not permitted (SSRF): addresses of every form, names, rebinding."""

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from http_servers import answer, serving_http
from hypothesis import given, settings
from hypothesis import strategies as st
from source_context import context, refusal, rows

from collector.sources import SourceError, urls
from collector.sources.api import Config, collect
from collector.sources.network import judged, system_resolve
from collector.sources.settings import SourceSettings

FORBIDDEN = [
    "0.0.0.0/8",
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    "::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16",
    "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128", "4000::/2", "8000::/1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]
SETTINGS = SourceSettings()


def address_in(text: str) -> st.SearchStrategy[str]:
    network = ip_network(text)
    kind = IPv4Address if network.version == 4 else IPv6Address
    first = int(network.network_address)
    return st.integers(first, first + network.num_addresses - 1).map(lambda number: str(kind(number)))


def disguised(text: str) -> list[str]:
    """The address, and the forms of IPv6 that carry it."""
    address = ip_address(text)
    if address.version == 6:
        return [text]
    number = int(address)
    forms = (
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | (~number & 0xFFFFFFFF),
    )
    return [text, *(str(IPv6Address(form)) for form in forms)]


def is_refused(text: str, given: SourceSettings = SETTINGS, host: str = "a.example") -> bool:
    try:
        judged(text, host, given)
    except SourceError as error:
        return "is not permitted" in error.reason
    return False


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FORBIDDEN).flatmap(address_in))
def test_no_address_of_a_forbidden_network_passes_in_any_form(text: str) -> None:
    assert all(map(is_refused, disguised(text)))


@settings(max_examples=400, deadline=None)
@given(st.ip_addresses())
def test_what_passes_is_public(address: IPv4Address | IPv6Address) -> None:
    if not is_refused(str(address)):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not any(plain in ip_network(each) for each in FORBIDDEN)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text: str) -> None:
    assert str(judged(text, "a.example", SETTINGS)) == text


def test_a_mapped_address_is_what_it_maps() -> None:
    assert str(judged("::ffff:1.1.1.1", "a.example", SETTINGS)) == "1.1.1.1"


@pytest.mark.parametrize(
    ("networks", "permitted", "refused"),
    [
        (["10.1.0.0/16"], ["10.1.2.3", "::ffff:10.1.2.3"], ["10.2.0.1", "127.0.0.1", "::10.1.2.3", "2002:a01:203::"]),
        (["127.0.0.0/8"], ["127.0.0.1"], ["::1", "0.0.0.0"]),
        (["169.254.0.0/16"], ["169.254.1.1"], ["169.254.169.254", "169.254.170.2"]),
        (["169.254.169.254/32"], ["169.254.169.254"], ["169.254.1.1"]),
        (["fe80::/10"], ["fe80::1", "fe80::1%eth0"], ["fc00::1"]),
        (["fc00::/7"], ["fd12::1"], ["fd00:ec2::254"]),
        (["64:ff9b::/96"], ["64:ff9b::101:101"], ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"]),
        (["64:ff9b::/96", "10.0.0.0/8"], ["64:ff9b::a00:1"], ["64:ff9b::7f00:1"]),
        (["2002::/16"], ["2002:101:101::"], ["2002:7f00:1::", "2002:a00:1::"]),
        (["2001::/32"], [], ["2001:0:1:1::80ff:fffe"]),
        (["0.0.0.0/0", "::/0"], ["10.0.0.1", "::1"], ["169.254.169.254", "fd00:ec2::254"]),
    ],
)  # fmt: skip
def test_the_settings_permit_networks(networks: list[str], permitted: list[str], refused: list[str]) -> None:
    given = SourceSettings(source_networks=tuple(networks))
    assert not [text for text in permitted if is_refused(text, given)]
    assert not [text for text in refused if not is_refused(text, given)]


def test_what_is_refused_by_the_settings_is_refused_whatever_else_they_say() -> None:
    given = SourceSettings(
        source_networks=("10.0.0.0/8", "64:ff9b::/96"),
        source_networks_refused=("10.9.0.0/16", "1.1.1.1"),
        source_hosts=("a.example",),
    )
    assert [is_refused(text, given) for text in ("10.1.0.1", "10.9.0.1", "1.1.1.1", "64:ff9b::a09:1")] == [
        False,
        True,
        True,
        True,
    ]


def test_a_permitted_name_may_lie_at_private_addresses_and_nowhere_else() -> None:
    given = SourceSettings(source_hosts=("CRM.example.",))
    assert [is_refused(text, given, "crm.example") for text in ("10.0.0.1", "fd12::1", "100.64.0.1")] == [False] * 3
    assert is_refused("10.0.0.1", given, "other.example")
    for text in ("127.0.0.1", "::1", "169.254.169.254", "169.254.1.1", "fe80::1", "0.0.0.0", "fd00:ec2::254", "2002:a00:1::"):
        assert is_refused(text, given, "crm.example")


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.",
     "[::1]", "[::ffff:127.0.0.1]", "[::]", "0", "0.0.0.0",
     "①②⑦.⓪.⓪.①", "127。0。0。1", "[::ffff:7f00:1]"],
)  # fmt: skip
async def test_no_spelling_of_loopback_reaches_a_server(host: str) -> None:
    async with serving_http(lambda asked: answer([]), host="0.0.0.0") as server:
        error = await refusal(lambda: collect(Config(url=server.url(host=host)), context(api_tries=1)))
    assert not server.asked
    assert "is not permitted" in error.reason or "no address" in error.reason or "cannot be reached" in error.reason


class Rebinding:
    """A resolver that gives another answer each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


async def test_a_name_is_asked_once_a_connection_and_what_was_judged_is_connected() -> None:
    resolve = Rebinding(["127.0.0.1"], ["127.0.0.2"])
    async with serving_http(lambda asked: answer([]), host="0.0.0.0") as server:
        config = Config(url=server.url(host="rebind.example"))
        assert await rows(collect(config, context(source_networks=("127.0.0.1/32",)), resolve)) == []
    assert resolve.asked == 1
    assert server.asked[0].headers["host"] == f"rebind.example:{server.port}"


async def test_a_name_that_turns_to_loopback_later_is_refused() -> None:
    resolve = Rebinding(["127.0.0.1"], ["127.0.0.2"])

    def answering(asked: object) -> bytes:
        return answer([], Link="<?page=2>; rel=next", Connection="close") + b""

    async with serving_http(answering, host="0.0.0.0") as server:
        config = Config(url=server.url(host="rebind.example"), paging={"type": "link"})
        error = await refusal(lambda: collect(config, context(source_networks=("127.0.0.1/32",)), resolve))
    assert "rebind.example lies at 127.0.0.2: this network is not permitted" in error.reason
    assert len(server.asked) == 1


async def test_one_forbidden_address_spoils_the_name() -> None:
    resolve = Rebinding(["127.0.0.1", "127.0.0.2"])
    async with serving_http(lambda asked: answer([]), host="0.0.0.0") as server:
        config = Config(url=server.url(host="both.example"))
        error = await refusal(lambda: collect(config, context(source_networks=("127.0.0.1/32",)), resolve))
    assert "is not permitted" in error.reason
    assert not server.asked


async def test_of_several_permitted_addresses_one_that_answers_is_enough() -> None:
    resolve = Rebinding(["127.0.0.9", "127.0.0.1"])
    async with serving_http(lambda asked: answer([]), host="127.0.0.1") as server:
        config = Config(url=server.url(host="both.example"))
        assert await rows(collect(config, context(source_networks=("127.0.0.0/8",)), resolve)) == []


async def test_a_resolver_that_hangs_is_given_up() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    given = context(api_tries=1, api_timeout_seconds=0.2)
    error = await refusal(lambda: collect(Config(url="http://slow.example/"), given, resolve))
    assert "does not answer in time" in error.reason


async def test_the_systems_resolver_gives_addresses() -> None:
    assert set(await system_resolve("localhost", 80)) <= {"127.0.0.1", "::1"}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("htps:/@[]\\.%0127#? a", max_size=40).map("http://".__add__))
def test_a_url_is_read_or_refused_and_reads_the_same_again(text: str) -> None:
    try:
        url = urls.parse(text)
    except ValueError:
        return
    again = urls.parse(f"{url.scheme}://{url.authority}{url.target}")
    assert again == url
    assert not set(url.authority + url.target) & set(" \r\n\t\\#")
