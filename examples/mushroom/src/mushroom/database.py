"""Store predictions in a database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, String, create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Keep the time zone on databases that drop it, such as SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC before storing."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a time that carries its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Collect the tables of the service."""


class Prediction(Base):
    """Record one answered request."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: datetime.now(UTC))
    specimen: Mapped[dict[str, Any]] = mapped_column(JSON)
    verdict: Mapped[str] = mapped_column(String(16))
    poisonous_probability: Mapped[float]


class Database:
    """Read and write predictions."""

    def __init__(self, url: str) -> None:
        """Connect to a database and create missing tables."""
        self._engine = create_engine(url, pool_pre_ping=True)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        Base.metadata.create_all(self._engine)

    def add(self, prediction: Prediction) -> None:
        """Store a prediction and fill in its generated columns."""
        with self._sessions.begin() as session:
            session.add(prediction)

    def recent(self, limit: int) -> Sequence[Prediction]:
        """Return the latest predictions, newest first."""
        statement = select(Prediction).order_by(Prediction.id.desc()).limit(limit)
        with self._sessions() as session:
            return session.scalars(statement).all()

    def check(self) -> None:
        """Raise an error when the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
