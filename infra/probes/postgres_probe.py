"""The probe of Postgres: a query over a connection of its own."""

from __future__ import annotations

from psycopg import AsyncConnection

_CONNECT_S = 2


class PostgresProbe:
    """Asks Postgres for nothing; connects again after an error."""

    def __init__(self, url: str) -> None:
        """Prepare; the first question connects."""
        self._url = url
        self._connection: AsyncConnection | None = None

    async def check(self) -> None:
        """Return if Postgres answers a query; raises psycopg.Error if not."""
        connection, self._connection = self._connection, None
        if connection is None:
            connection = await AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_S
            )
        try:
            await connection.execute("SELECT 1")
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
