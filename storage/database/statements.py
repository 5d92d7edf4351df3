"""Statements of the turn: compiled once for each dialect, then handed to the driver as they are.

What SQLAlchemy does for each execution (cache keys, execution contexts, results) costs ten times what SQLite takes to
answer. A `Statement` keeps what SQLAlchemy is good at, building SQL that fits both databases and converting values,
and leaves out the rest. Where nobody waits, plain `connection.execute` does.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Dialect, Insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Values = Mapping[str, Any]
"""What is bound, by the names of the `bindparam`s; of an INSERT without values, of the columns (else NULL)."""

Convert = Callable[[Any], Any]
R = TypeVar("R", bound=msgspec.Struct)


class Statement:
    """A SELECT, INSERT, UPDATE or DELETE whose SQL is the same each time.

    Where the dialects need different ones, give one for each by its name. Raises what SQLAlchemy raises.
    """

    def __init__(self, statement: ClauseElement | Mapping[str, ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """All rows, as named tuples."""
        compiled = self._for(connection.dialect)
        cursor = compiled.execute(connection, values)
        try:
            return compiled.rows(cursor.fetchall())
        finally:
            cursor.close()

    def all_as(self, kind: type[R], connection: Connection, values: Values) -> list[R]:
        """All rows as structs of this kind (`array_like`), which takes a third of the time where there are many."""
        cursor = self._for(connection.dialect).execute(connection, values)
        try:
            rows = [tuple(row) for row in cursor.fetchall()]
            return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
        finally:
            cursor.close()

    def first(self, connection: Connection, values: Values) -> Any:
        """The first row as a named tuple, or None."""
        compiled = self._for(connection.dialect)
        cursor = compiled.execute(connection, values)
        try:
            row = cursor.fetchone()
            return None if row is None else compiled.rows([row])[0]
        finally:
            cursor.close()

    def run(self, connection: Connection, values: Values) -> int:
        """Run a statement that gives no rows; how many rows it changed."""
        cursor = self._for(connection.dialect).execute(connection, values)
        changed: int = cursor.rowcount
        cursor.close()
        return changed

    def run_each(self, connection: Connection, many: Sequence[Values]) -> None:
        """Run a statement that gives no rows, once for each of the values."""
        self._for(connection.dialect).execute_each(connection, many).close()

    def _for(self, dialect: Dialect) -> "_Compiled":
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            chosen = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            compiled = self._compiled[dialect.name] = _Compiled(chosen, dialect)
        return compiled


class _Compiled:
    """A statement in the SQL of one dialect, with the conversions of its values."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._dialect = dialect
        optional = isinstance(statement, Insert)
        self._bound: list[tuple[str, bool, Any, Convert | None]] = [
            (bound.key, bound.required and not optional, compiled.params[name], _binding(bound.type, dialect))
            for name in compiled.positiontup
            for bound in [compiled.binds[name]]
        ]
        returned = [*getattr(statement, "exported_columns", ())]
        named: Any = namedtuple  # its names are known at run time only
        self._row = named("Row", [column.key for column in returned], rename=True)
        converts = [_result(column.type, dialect) for column in returned]
        self._converted = [(place, convert) for place, convert in enumerate(converts) if convert is not None]

    def execute(self, connection: Connection, values: Values) -> Any:
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._sql, self._values(values))
        except self._dialect.loaded_dbapi.Error as error:
            raise self._told(error) from error
        return cursor

    def execute_each(self, connection: Connection, many: Sequence[Values]) -> Any:
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(self._sql, [self._values(values) for values in many])
        except self._dialect.loaded_dbapi.Error as error:
            raise self._told(error) from error
        return cursor

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        rows = []
        for row in found:
            values = list(row)
            for place, convert in self._converted:
                values[place] = convert(values[place])
            rows.append(self._row(*values))
        return rows

    def _values(self, values: Values) -> tuple[Any, ...]:
        bound = []
        for name, required, given, convert in self._bound:
            value = values[name] if required else values.get(name, given)
            bound.append(value if convert is None else convert(value))
        return tuple(bound)

    def _told(self, error: Exception) -> BaseException:
        return DBAPIError.instance(
            self._sql, None, error, self._dialect.loaded_dbapi.Error, hide_parameters=True, dialect=self._dialect
        )


def _binding(kind: Any, dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)  # type: ignore[no-any-return]


def _result(kind: Any, dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)  # type: ignore[no-any-return]
