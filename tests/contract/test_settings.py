"""Settings: who wins, what is wrong and where, and what is never shown."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from contract.config_file import CONFIG_FILE, CONFIG_VARIABLE
from contract.errors import SettingsError
from contract.settings import SECRETS as BY_FILE
from contract.settings import Settings, address, load_settings

SECRET = "sesame-4711"  # noqa: S105 - no real one
SECRETS = ("redis_url", "broker_url", "milvus_token", "embedding_api_key", "embedding_cache_url")


def problems(*args: Any, **overrides: Any) -> tuple[str, ...]:
    """Load wrong settings, and give what is said of them."""
    with pytest.raises(SettingsError) as caught:
        load_settings(*args, **overrides)
    return caught.value.problems


def test_defaults(tmp_path: Path) -> None:
    """Nothing configured is a valid configuration."""
    settings = load_settings({}, tmp_path)
    assert settings == Settings.model_validate({})
    assert settings.redis_url is None
    assert settings.effective_broker_url is None


def test_who_wins(tmp_path: Path) -> None:
    """The command line goes before the environment, and the environment before the file."""
    (tmp_path / CONFIG_FILE).write_text("workers = 2\ncollection = 'books'\nlease_seconds = 9\n")
    environment = {"HEADRACE_WORKERS": "3", "HEADRACE_COLLECTION": "films"}
    settings = load_settings(environment, tmp_path, workers=4, collection=None)
    assert (settings.workers, settings.collection, settings.lease_seconds) == (4, "films", 9)


def test_an_empty_variable_unsets(tmp_path: Path) -> None:
    """An empty variable takes back what the file says, and is nothing by itself."""
    (tmp_path / CONFIG_FILE).write_text("workers = 2\n")
    environment = {"HEADRACE_WORKERS": "", "HEADRACE_REDIS_URL": ""}
    assert load_settings(environment, tmp_path) == load_settings({}, tmp_path / "none")


def test_a_file_that_is_named(tmp_path: Path) -> None:
    """A file may lie elsewhere; when it is named, it must be there and be readable."""
    path = tmp_path / "other.toml"
    environment = {CONFIG_VARIABLE: str(path)}
    (problem,) = problems(environment, tmp_path)
    assert str(path) in problem
    path.write_text("workers = 2\n")
    assert load_settings(environment, tmp_path).workers == 2
    for broken in (b"workers = \n", b"\xff"):
        path.write_bytes(broken)
        (problem,) = problems(environment, tmp_path)
        assert str(path) in problem


def test_all_that_is_wrong_is_named_with_its_place(tmp_path: Path) -> None:
    """One error tells of every wrong setting, and where each was given."""
    (tmp_path / CONFIG_FILE).write_text("workers = 0\ncolour = 'blue'\n[embedding]\nmodel = 'm'\n")
    environment = {"HEADRACE_LEASE_SECONDS": "soon", "HEADRACE_SPEED": "9", "OTHER": "x"}
    found = problems(environment, tmp_path, batch_max_chunks=0, collection="1 a")
    path = tmp_path / CONFIG_FILE
    for place in (
        f"workers in {path}",
        f"colour in {path}: there is no such setting",
        f"embedding in {path}: there is no such setting",
        "HEADRACE_LEASE_SECONDS",
        "HEADRACE_SPEED: there is no such setting",
        "--batch-max-chunks",
        "--collection",
    ):
        assert sum(problem.startswith(place) for problem in found) == 1, place
    assert len(found) == 7


def test_settings_that_do_not_fit_together(tmp_path: Path) -> None:
    """A rule about two settings is told as such."""
    (problem,) = problems({}, tmp_path, chunk_size=10, chunk_overlap=10)
    assert "chunk_overlap" in problem


@pytest.mark.parametrize(
    "url", ["file://cache.sqlite", "file:cache.sqlite", "file:///", "file:///a?b", "http://a", "/a"]
)
def test_a_cache_is_a_redis_or_a_whole_path(tmp_path: Path, url: str) -> None:
    """A path that is not whole would mean another file in each folder."""
    (problem,) = problems({"HEADRACE_EMBEDDING_CACHE_URL": url}, tmp_path)
    assert problem.startswith("HEADRACE_EMBEDDING_CACHE_URL: ")
    for right in ("file:///var/cache/it.sqlite", "redis://a", "rediss://a", "unix:///a"):
        assert load_settings({}, tmp_path, embedding_cache_url=right).embedding_cache_url


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("redis_url", f"http://:{SECRET}@host"),
        ("redis_url", f"redis//:{SECRET}@host"),
        ("redis_url", f"redis://:{SECRET}@[host"),
        ("redis_url", f"redis://:{SECRET}/x@host/0"),
        ("broker_url", f"amqp://:{SECRET}/x@host/0"),
        ("broker_url", SECRET),
        ("embedding_cache_url", f"memcached://:{SECRET}@host"),
        ("embedding_cache_url", f"file://{SECRET}"),
        ("milvus_uri", f"grpc://root:{SECRET}@host"),
        ("embedding_base_url", f"ftp://root:{SECRET}@host"),
        ("colour", SECRET),
        ("api_key", SECRET),
        ("workers", SECRET),
    ],
)
def test_wrong_values_are_not_shown(tmp_path: Path, name: str, wrong: str) -> None:
    """What is wrong may be a secret in the wrong place, so no value is repeated."""
    for found in (
        problems({f"HEADRACE_{name.upper()}": wrong}, tmp_path),
        problems({}, tmp_path, **{name: wrong}),
    ):
        assert SECRET not in repr(found)
        assert len(found) == 1


def with_secrets(tmp_path: Path) -> Settings:
    """Make settings that have every secret."""
    return load_settings(
        {"HEADRACE_BROKER_URL": f"amqp://:{SECRET}@host", "OPENAI_API_KEY": SECRET},
        tmp_path,
        redis_url=f"redis://:{SECRET}@host/0",
        embedding_cache_url=f"redis://:{SECRET}@cache/0",
        milvus_token=f"root:{SECRET}",
    )


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """Neither printing nor dumping the settings shows a secret."""
    settings = with_secrets(tmp_path)
    shown = (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json())
    assert all(SECRET not in each for each in shown)


def test_only_secrets_carry_secrets_to_a_child(tmp_path: Path) -> None:
    """In a child's environment a secret stands in its own variable and in no other."""
    environment = with_secrets(tmp_path).environment()
    carriers = {name for name, text in environment.items() if SECRET in text}
    assert carriers == {f"HEADRACE_{name.upper()}" for name in SECRETS}


def test_the_key_of_openai(tmp_path: Path) -> None:
    """The usual variable counts where none of ours is set."""
    settings = load_settings({"OPENAI_API_KEY": "theirs"}, tmp_path)
    assert settings.embedding_api_key == SecretStr("theirs")
    both = {"OPENAI_API_KEY": "theirs", "HEADRACE_EMBEDDING_API_KEY": "ours"}
    assert load_settings(both, tmp_path).embedding_api_key == SecretStr("ours")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "collection": st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
            "workers": st.integers(1, 9),
            "lease_seconds": st.floats(3, 3600),
            "chunk_unit": st.sampled_from(["characters", "tokens"]),
            "metric_type": st.sampled_from(["COSINE", "IP", "L2"]),
            "redis_url": st.just(f"redis://:{SECRET}@host/0"),
            "data_folder": st.just("/data folder"),
            "metrics_port": st.integers(0, 65_535),
            "embedding_dimensions": st.integers(1, 9_999),
        },
    )
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_child_has_the_same_settings(tmp_path: Path, values: dict[str, Any]) -> None:
    """A child reads exactly its parent's settings, whatever the file beside it says."""
    (tmp_path / CONFIG_FILE).write_text("workers = 7\nmilvus_uri = 'http://other'\n")
    settings = load_settings({}, tmp_path / "none", **values)
    assert load_settings(settings.environment(), tmp_path) == settings


def test_settings_do_not_change(tmp_path: Path) -> None:
    """Settings are frozen, and survive a journey to another process."""
    settings = with_secrets(tmp_path)
    with pytest.raises(ValidationError):
        settings.workers = 3
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://me:{SECRET}@host:1/2", "redis://host:1/2"),
        (f"redis://host/0?password={SECRET}", "redis://host/0"),
        (f"unix://me:{SECRET}@/a/b.sock?db=0&password={SECRET}", "unix:///a/b.sock"),
        (f"redis+socket://:{SECRET}@/a/b.sock?virtual_host=0", "redis+socket:///a/b.sock"),
        (f"http://{SECRET}@host", "http://host"),
    ],
)
def test_address(url: str, shown: str) -> None:
    """An address has neither user nor password."""
    assert address(url) == address(SecretStr(url)) == shown


def test_secrets_may_come_by_file(tmp_path: Path) -> None:
    """As Docker, Kubernetes and systemd hand them over; the line's end is not part of it."""
    secret = tmp_path / "redis"
    secret.write_text("redis://:grist@mill:6379/0\n")
    settings = load_settings({"HEADRACE_REDIS_URL_FILE": str(secret)}, tmp_path)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:grist@mill:6379/0"
    assert {f"HEADRACE_{name.upper()}" for name in SECRETS} <= set(BY_FILE)


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (None, {}, "No such file"),
        (b"", {}, "is empty"),
        (b"\xff\xfe", {}, "is no text"),
        (b"x" * 100_000, {}, "too large"),
        (b"redis://a", {"HEADRACE_REDIS_URL": "redis://b"}, "both set"),
        (b"http://:s3cret@mill", {}, "redis_url|REDIS_URL"),
    ],
)
def test_a_secret_that_can_not_be_had_by_file_is_named(
    tmp_path: Path, content: bytes | None, more: dict[str, str], said: str
) -> None:
    """With the variable and the file, never with what stands in it."""
    path = tmp_path / "redis"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as error:
        load_settings({"HEADRACE_REDIS_URL_FILE": str(path), **more}, tmp_path)
    assert "s3cret" not in str(error.value)
