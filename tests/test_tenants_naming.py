"""Names of folders: one for each tenant, whatever the file system folds together."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from agentmem.errors import InvalidInput
from agentmem.tenants.naming import MAX_NAME_BYTES, folder_name, tenant_of

ALIKE = (
    "Acme",
    "acme",
    "ACME",
    "é",
    "e\u0301",
    "ﬁ",
    "fi",
    "K",
    "\u212a",
    "k",
    "ß",
    "ss",
    "a.",
    "a",
)
HOSTILE = (
    *ALIKE,
    *("..", ".", "../x", "/etc", "a/b", "a\\b", "con", "CON", "nul.txt", "com1", "lpt9.a", "a:b"),
    *("-rf", "~", "=2e", "%2e%2e", " ", "a ", "\n", "*", "?", "<a>", "|", '"', "aux", "prn."),
)
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
tenants = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=1, max_size=20),
    st.text(alphabet="aAeEé\u0301./\\=-_ \u212akK2", min_size=1, max_size=6),
    st.builds("{}{}".format, st.sampled_from(("con", "nul", "com1", "x")), st.sampled_from(".-aA")),
)


def named(tenant: str) -> str:
    """Return the name of a tenant's folder; what cannot have one is not looked at here."""
    try:
        return folder_name(tenant)
    except InvalidInput:
        reject()


@given(tenants, tenants)
def test_different_tenants_have_different_folders_on_every_file_system(a: str, b: str) -> None:
    one, other = named(a), named(b)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        seen = {unicodedata.normalize(form, name).casefold().rstrip(". ") for name in (one, other)}
        assert len(seen) == len({a, b})


@given(tenants)
def test_a_name_is_harmless_and_can_be_read_back(tenant: str) -> None:
    name = named(tenant)
    assert tenant_of(name) == tenant
    assert re.fullmatch(r"[a-z0-9=_][a-z0-9=_.-]*", name)
    assert not name.endswith(".")
    assert not DEVICE.fullmatch(name)
    assert len(name) <= MAX_NAME_BYTES


@given(st.one_of(tenants, st.text(alphabet="ab=0123456789f.AF", max_size=9)))
def test_a_folder_is_of_a_tenant_only_if_that_tenant_has_this_folder(name: str) -> None:
    tenant = tenant_of(name)
    assert tenant is None or folder_name(tenant) == name


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("acme", "acme"),
        ("user_1-b.example.com", "user_1-b.example.com"),
        ("Acme", "=41cme"),
        ("..", "=2e=2e"),
        ("con", "=63on"),
        ("console", "console"),
        (".a", "=2ea"),
        ("é", "=c3=a9"),
    ],
)
def test_plain_ids_stay_readable(tenant: str, name: str) -> None:
    assert folder_name(tenant) == name


@pytest.mark.parametrize(
    ("tenant", "says"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        ("x" * (MAX_NAME_BYTES + 1), "shorter id"),
        ("X" * (MAX_NAME_BYTES // 3 + 1), "capital letter takes 3"),
        (7, "ids are text"),
        (None, "ids are text"),
    ],
)
def test_what_no_folder_can_be_named_after_is_refused(tenant: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        folder_name(tenant)
