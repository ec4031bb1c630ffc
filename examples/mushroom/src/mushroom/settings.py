"""Read the configuration from MUSHROOM_* environment variables."""

import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_database_url() -> str:
    """Return the address of an SQLite file in the temporary directory."""
    # The application directory is often read-only in a container; the temporary one is not.
    return f"sqlite:///{Path(tempfile.gettempdir()) / 'mushroom.sqlite3'}"


class Settings(BaseSettings):
    """Hold the configuration of the service."""

    model_config = SettingsConfigDict(env_prefix="MUSHROOM_")

    host: str = "0.0.0.0"
    port: int = Field(default=8000, ge=1, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    model_path: Path = Path("models/mushroom.joblib")
    database_url: str = Field(default_factory=default_database_url)
    startup_training_rows: int = Field(default=2_000, ge=100)
    random_seed: int = Field(default=20, ge=0)
