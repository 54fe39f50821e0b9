"""The store in a PostgreSQL database: one state for several machines. Needs the extra `postgres`."""

from jobtest.state.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
