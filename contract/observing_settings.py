"""The settings of metrics, logs and traces."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

from contract.setting_kinds import Port


class ObservingSettings(BaseModel):
    """How a process shows what it does."""

    metrics_host: str = Field("127.0.0.1", description="address that serves /metrics")
    metrics_port: Port = Field(0, description="port of /metrics, or the first of several; 0: none")
    status_token: SecretStr | None = Field(None, description="for replays on the status page")
    exporter_port: Port = Field(0, description="port of the exporter; 0: 9102, and `up` has none")
    log_format: Literal["console", "json"] = Field(
        "console", description="of workers, producers and schedulers: for people, or for machines"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that they write; batches and documents have metrics instead"
    )
    tracing_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of traces that are sent by OTLP (`headrace[otel]`); 0: none"
    )
