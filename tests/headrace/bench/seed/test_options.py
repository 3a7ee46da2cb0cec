"""Tests of what is measured, and of who gets to see the user's key."""

from pydantic import SecretStr

from contract.settings import load_settings
from headrace.bench.seed.model import NO_KEY, with_endpoint
from headrace.bench.seed.options import SeedOptions


def test_the_command_says_all_that_counts() -> None:
    """Whoever reads a table can measure it again; passwords are not repeated."""
    assert SeedOptions().command == (
        "headrace bench seed --rounds 5 --count 10 --count 100 --stored 1000 "
        "--latency-ms 50 --dimensions 1536"
    )
    named = SeedOptions(base_url="https://me:secret@host/v1", model="my model", fresh=True)
    assert named.command == (
        "headrace bench seed --rounds 5 --count 10 --count 100 --stored 1000 "
        "--base-url https://host/v1 --model 'my model' --fresh"
    )


def test_only_an_endpoint_that_the_user_named_gets_the_key() -> None:
    """The made-up endpoint is asked for its dimensions, and told no secret."""
    settings = load_settings({"OPENAI_API_KEY": "secret"})
    ours = with_endpoint(settings, SeedOptions(dimensions=8), "http://127.0.0.1:1/v1")
    assert ours.embedding_api_key == SecretStr(NO_KEY)
    assert (ours.embedding_dimensions, ours.embedding_model) == (8, "headrace-bench")
    options = SeedOptions(base_url="https://host/v1", model="theirs")
    theirs = with_endpoint(settings, options, "https://host/v1")
    assert theirs.embedding_api_key == SecretStr("secret")
    assert (theirs.embedding_dimensions, theirs.embedding_model) == (None, "theirs")
