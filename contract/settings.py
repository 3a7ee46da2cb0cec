"""All settings of a process: one frozen object, built once by its composition root.

In rising order: ``headrace.toml`` in the working folder (or the file named by
``HEADRACE_CONFIG``), the environment (``HEADRACE_*``), the command line. All wrong settings
are reported together, before anything starts; secrets are never printed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from contract.config_file import CONFIG_VARIABLE, SCHEDULES_TABLE, config_file, read_config
from contract.errors import SettingsError
from contract.setting_kinds import (
    BrokerUrl,
    CacheUrl,
    CollectionName,
    HttpUrl,
    Port,
    Positive,
    RedisUrl,
    Seconds,
)

ENVIRONMENT_PREFIX = "HEADRACE_"
PARENT_VARIABLE = "HEADRACE_PARENT_PID"
"""Set for child processes only: they end when this process has ended."""

NOT_SETTINGS = frozenset({CONFIG_VARIABLE, PARENT_VARIABLE})
MAX_CHUNK_CHARACTERS = 16_000
"""So that a chunk of 4-byte characters fits Milvus' VARCHAR limit of 65,535 bytes."""

LOCAL_MODEL_TOKENS = 254
"""What the local model reads of a text: 256 positions, of which two are [CLS] and [SEP]."""


class Settings(BaseModel):
    """Every setting, with its default; the README's table is made from this class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: CollectionName = Field(
        "documents", description="collection in Milvus that commands use when none is named"
    )
    data_folder: Path = Field(
        Path(".headrace"), description="where the embedded servers keep their data"
    )
    redis_url: RedisUrl | None = Field(
        None, description="Redis that holds ledger and queue; unset: an embedded one"
    )
    broker_url: BrokerUrl | None = Field(
        None, description="Celery's broker, if it is not the Redis of the ledger"
    )
    milvus_uri: HttpUrl | None = Field(None, description="Milvus server; unset: an embedded one")
    milvus_token: SecretStr | None = Field(None, description="`user:password` or API key")
    milvus_database: str = Field("default", description="database within Milvus")
    index_type: str = Field("AUTOINDEX", description="index of a collection made from now on")
    metric_type: Literal["COSINE", "IP", "L2"] = Field(
        "COSINE", description="metric of a collection made from now on"
    )

    embedding_provider: str = Field(
        "local", description="`local`, `openai`, or `package.module:Class` of LangChain Embeddings"
    )
    embedding_base_url: HttpUrl | None = Field(
        None, description="OpenAI-compatible endpoint; unset: OpenAI itself"
    )
    embedding_api_key: SecretStr | None = Field(
        None, description="key of the endpoint; unset: `OPENAI_API_KEY`"
    )
    embedding_model: str = Field(
        "text-embedding-3-small", description="model that the endpoint is asked for"
    )
    embedding_dimensions: Positive | None = Field(
        None, description="dimensions asked of the model; unset: its own"
    )
    embedding_timeout_seconds: Seconds = Field(60.0, description="for one request")
    embedding_requests_per_minute: Positive | None = Field(
        None, description="of all workers together; unset: as the endpoint's headers tell"
    )
    embedding_tokens_per_minute: Positive | None = Field(None, description="likewise")
    embedding_concurrency: Positive = Field(
        32, description="most requests at once, a worker process; fewer where it bears fewer"
    )
    embedding_join_chunks: Positive = Field(
        128, description="batches share a request up to so many texts"
    )
    embedding_max_inputs: Positive = Field(2048, description="most texts of one request")
    embedding_max_request_tokens: Positive = Field(300_000, description="most tokens of one")
    embedding_max_request_bytes: Positive = Field(
        4 * 1024 * 1024, description="most text of one, in bytes of UTF-8"
    )
    embedding_max_chunk_tokens: Positive | None = Field(
        None, description="what the model reads of a text; unset: as known, 8,191 of OpenAI's"
    )
    overlong_chunks: Literal["refuse", "cut"] = Field(
        "refuse", description="a text that is longer becomes a dead letter, or is `cut`"
    )
    embedding_threads: Positive = Field(2, description="threads of the local model, a process")
    embedding_price: Annotated[float, Field(ge=0)] | None = Field(
        None, description="US dollars per million tokens, as for `--max-cost`; unset: list prices"
    )
    source_tokens_per_day: Positive | None = Field(
        None, description="imports stop once a source has used so many on a day (UTC)"
    )
    source_cost_per_day: Annotated[float, Field(gt=0)] | None = Field(
        None, description="likewise, US dollars"
    )
    embedding_cache_url: CacheUrl | None = Field(
        None,
        description="keeps vectors: `redis://...`, or `file:///path/cache.sqlite`; unset: none",
    )
    embedding_cache_bytes: Annotated[int, Field(ge=1024 * 1024)] = Field(
        1024 * 1024 * 1024, description="bound of a cache file; a Redis has its own `maxmemory`"
    )
    model_folder: Path | None = Field(
        None, description="where the rebuilt local model is kept; unset: the user's cache"
    )

    chunk_size: Positive = Field(200, description="largest chunk, in `chunk_unit`")
    chunk_overlap: Annotated[int, Field(ge=0)] = Field(20, description="shared by neighbours")
    chunk_unit: Literal["characters", "tokens"] = Field(
        "tokens", description="`characters` or `tokens`; tokens are those of the local model"
    )
    max_document_bytes: Positive = Field(
        50 * 1024 * 1024, description="a larger file is reported and left out"
    )

    producer_processes: Positive | None = Field(
        None, description="parse and split a large import; unset: one for each core; 1: none"
    )

    run_slots: Positive = Field(2, description="scheduled runs at once, a producer worker")

    batch_max_chunks: Annotated[int, Field(gt=0, le=2048)] = Field(128, description="per batch")
    batch_max_bytes: Positive = Field(1024 * 1024, description="text per batch")
    batch_max_age_seconds: Seconds = Field(1.0, description="since the batch's first chunk")
    max_unfinished_batches: Positive = Field(
        2_000, description="producers wait above this many, per collection"
    )
    max_unfinished_bytes: Positive = Field(
        256 * 1024 * 1024, description="likewise, payload held in Redis"
    )

    lane: Literal["auto", "live", "bulk"] = Field(
        "auto", description="of an import's batches; `auto`: the first `live_batches` go live"
    )
    live_batches: Annotated[int, Field(ge=0)] = Field(
        8, description="per job, which do not wait behind what others bring in bulk"
    )

    max_delete_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="an import that would delete more of a source needs `--allow-deletes`"
    )
    quarantine_seconds: Seconds = Field(
        3600.0, description="until rows of superseded versions are deleted once more"
    )

    watch_settle_seconds: Annotated[float, Field(ge=0.01, le=10)] = Field(
        0.1,
        description="a watch waits for so much quiet, at most 15 times as long, before it reads",
    )
    watch_rescan_seconds: Annotated[float, Field(ge=0)] = Field(
        3600.0, description="a watch looks at all files again, for what it was not told; 0: never"
    )
    watch_poll_seconds: Annotated[float, Field(ge=0.1)] | None = Field(
        None,
        description="a watch looks at all times of change so often; unset: the system tells it",
    )

    workers: Positive = Field(1, description="worker processes that a local run starts")
    worker_concurrency: Positive = Field(8, description="batches in flight, a worker process")
    live_slots: Positive = Field(2, description="likewise, kept for live batches besides")
    lease_seconds: Annotated[float, Field(ge=3, le=3600)] = Field(
        30.0, description="a worker silent for this long has lost its batches"
    )
    batch_timeout_seconds: Seconds = Field(
        600.0, description="for one attempt at one stage of a batch"
    )
    store_timeout_seconds: Seconds = Field(30.0, description="for one call to Milvus")
    store_concurrency: Positive = Field(
        16, description="most writes to Milvus at once, a worker process; fewer if it bears fewer"
    )
    store_join_chunks: Positive = Field(512, description="batches share a write up to so many")
    join_wait_seconds: Annotated[float, Field(ge=0, le=1)] = Field(
        0.003, description="longest wait for others to share a request with"
    )
    redis_timeout_seconds: Seconds = Field(10.0, description="for one call to Redis")
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=8)] = Field(
        5.0, description="until a server counts as unreachable"
    )
    outage_patience_seconds: Seconds = Field(
        600.0, description="imports and workers wait so long for a server that is away"
    )
    drain_seconds: Seconds = Field(
        20.0, description="after SIGTERM, before unfinished batches are given back"
    )
    metrics_host: str = Field("127.0.0.1", description="address that serves /metrics")
    metrics_port: Port = Field(0, description="port of /metrics, or the first of several; 0: none")
    exporter_port: Port = Field(0, description="port of the exporter; 0: 9102, and `up` has none")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.chunk_overlap > self.chunk_size // 2:
            raise ValueError("chunk_overlap may be at most half of chunk_size")
        in_tokens = self.chunk_unit == "tokens"
        local = self.embedding_provider == "local"
        if in_tokens and local and self.chunk_size > LOCAL_MODEL_TOKENS:
            raise ValueError(
                f"chunk_size: the local model reads {LOCAL_MODEL_TOKENS} tokens at most"
            )
        if not in_tokens and self.chunk_size > MAX_CHUNK_CHARACTERS:
            raise ValueError(f"chunk_size may be at most {MAX_CHUNK_CHARACTERS} characters")
        return self

    @property
    def effective_broker_url(self) -> SecretStr | None:
        """Where messages go: the broker, else the Redis of the ledger."""
        return self.broker_url or self.redis_url

    def environment(self) -> dict[str, str]:
        """Spell every setting as a variable for a child, which then has no other from a file."""
        variables = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            variables[ENVIRONMENT_PREFIX + name.upper()] = "" if value is None else str(value)
        return variables


def load_settings(
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    **overrides: Any,
) -> Settings:
    """Read all settings.

    Args:
        environment: variables; the process's own when None.
        folder: where ``headrace.toml`` may lie; the working folder when None.
        overrides: from the command line; None means not given.

    Raises:
        SettingsError: names every wrong setting, without secret values.
    """
    variables = os.environ if environment is None else environment
    values, origins = _from_file(variables, folder or Path.cwd())
    for variable, text in variables.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in NOT_SETTINGS:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if text or name in values:
                values[name], origins[name] = text or None, variable
    for name, value in overrides.items():
        if value is not None:
            values[name], origins[name] = value, f"--{name.replace('_', '-')}"
    values = {name: value for name, value in values.items() if value is not None}
    if "embedding_api_key" not in values and variables.get("OPENAI_API_KEY"):
        values["embedding_api_key"] = variables["OPENAI_API_KEY"]
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(tuple(_problem(item, origins) for item in error.errors())) from None


def _from_file(variables: Mapping[str, str], folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    path = config_file(variables, folder)
    values = read_config(path, must_exist=bool(variables.get(CONFIG_VARIABLE)))
    values.pop(SCHEDULES_TABLE, None)  # no settings: a scheduler reads them
    return values, {name: f"{name} in {path}" for name in values}


def _problem(item: Any, origins: Mapping[str, str]) -> str:
    """Say where a wrong setting was given and what is wrong, without its value."""
    name = str(item["loc"][0]) if item["loc"] else ""
    what = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        what = "there is no such setting"
    return f"{origins.get(name, name)}: {what}" if name else what


def address(url: str | SecretStr) -> str:
    """Give a URL without user and password, for messages and logs."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    scheme, _, rest = text.partition("://")
    # By hand: a password may hold what ends an authority ("#", "/") where nobody quoted it.
    return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"
