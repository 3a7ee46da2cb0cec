"""What commands make of URLs before anything is started."""

import pytest

from contract.errors import UsageError
from headrace.cli.main import cli

_WITH_USER = "https://me:s3cret@example.org/sitemap.xml"


@pytest.mark.parametrize("command", [["watch"], ["verify"]])
def test_what_needs_a_folder_says_so(command: list[str]) -> None:
    """With the name of what takes URLs."""
    with pytest.raises(UsageError, match=r"`headrace import` and `headrace schedule`"):
        cli.main([*command, "https://example.org/sitemap.xml"], standalone_mode=False)


@pytest.mark.parametrize(
    "command", [["import"], ["watch"], ["verify"], ["schedule", "add", "--every", "1h", "docs"]]
)
def test_passwords_are_refused_and_not_repeated(command: list[str]) -> None:
    """They would end in names, logs and the ledger."""
    with pytest.raises(UsageError) as caught:
        cli.main([*command, _WITH_USER], standalone_mode=False)
    assert "s3cret" not in str(caught.value)
