"""One URL for a Redis that Sentinels name."""

import pytest
from kombu import Connection

from contract.errors import SettingsError
from contract.queue import broker_url, make_app
from contract.sentinel import Sentinels
from contract.settings import load_settings

URL = "sentinel://mill:p%40ss%2F@north:26379,south,10.0.0.3:5000/ledger/2"


def test_it_names_sentinels_master_account_and_database() -> None:
    """The port is Sentinel's own where none is given; what is quoted is read."""
    read = Sentinels.of(URL)
    assert read.addresses == (("north", 26379), ("south", 26379), ("10.0.0.3", 5000))
    assert (read.master, read.database) == ("ledger", 2)
    assert (read.username, read.password) == ("mill", "p@ss/")
    alone = Sentinels.of("sentinel://north/ledger")
    assert (alone.database, alone.username, alone.password) == (0, None, None)


def test_the_broker_has_a_url_for_each() -> None:
    """As kombu reads them."""
    with Connection(broker_url(URL)) as connection:
        assert (connection.hostname, connection.port) == ("north", 26379)
        assert (connection.userid, connection.password) == ("mill", "p@ss/")
        assert len(connection.alt) == 3
    app = make_app(load_settings({"HEADRACE_REDIS_URL": URL}))
    assert app.conf.broker_transport_options["master_name"] == "ledger"
    app.close()


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://",
        "sentinel://north",
        "sentinel://:s3cret@north:mill/ledger",
        "sentinel://:s3cret@north/ledger/two",
        "sentinel://:s3cret@north/ledger?db=1",
    ],
)
def test_a_wrong_one_is_refused_without_its_password(url: str) -> None:
    """Before anything starts."""
    with pytest.raises(SettingsError, match="REDIS_URL") as error:
        load_settings({"HEADRACE_REDIS_URL": url})
    assert "s3cret" not in str(error.value)


def test_a_cache_has_none() -> None:
    """It is no ledger."""
    with pytest.raises(SettingsError, match="no Sentinels"):
        load_settings({"HEADRACE_EMBEDDING_CACHE_URL": URL})
