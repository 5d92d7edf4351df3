"""What storage refuses, and why. No framework, no SQL in the sentences.

StorageError
├── NotFound             no such row, or not visible to who asks: the same answer
├── Forbidden            visible, but not theirs to change
├── Conflict             the row is not in the state that the change needs
│   ├── AlreadyTaken     a unique value is in use
│   ├── ThreadLocked     nobody says anything in the thread any more
│   ├── TurnRunning      a turn runs on this chat already
│   └── LastAdmin        the change would leave nobody who can administer
├── KeyReused            an idempotency key came with another body
├── AllowanceSpent       a rate limit or a concurrency limit is reached
├── WrongKey             a sealed value does not open with the keys at hand
└── StorageUnavailable   the database does not answer; nothing was changed
"""

from uuid import UUID


class StorageError(Exception):
    """A unit that changed nothing; the message is a sentence for people."""

    code = "storage-error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(StorageError):
    """There is no such row, or none that the asking person may know of."""

    code = "not-found"


class Forbidden(StorageError):
    """The person sees the row and may not change it so."""

    code = "forbidden"


class Conflict(StorageError):
    """The row is not in the state that the change needs."""

    code = "conflict"


class AlreadyTaken(Conflict):
    """A unique value is in use; `field` names it."""

    code = "already-taken"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ThreadLocked(Conflict):
    """The thread is locked or archived: it is only read."""

    code = "thread-locked"

    def __init__(self) -> None:
        super().__init__("This thread is locked or archived. Only its moderators can open it again.")


class TurnRunning(Conflict):
    """A turn runs on this chat already; `turn_id` names it."""

    code = "turn-running"

    def __init__(self, turn_id: UUID | None) -> None:
        super().__init__("A reply is still being written in this chat. Wait for it, or stop it first.")
        self.turn_id = turn_id


class LastAdmin(Conflict):
    """The change would leave nobody who can administer the gateway."""

    code = "last-admin"


class KeyReused(StorageError):
    """An idempotency key came again with another body."""

    code = "idempotency-key-reused"


class AllowanceSpent(StorageError):
    """A limit is reached; `retry_after` says in seconds when it is worth asking again."""

    code = "rate-limited"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WrongKey(StorageError):
    """A sealed value does not open with the master keys at hand."""

    code = "wrong-master-key"


class StorageUnavailable(StorageError):
    """The database does not answer, or could not commit; nothing was changed."""

    code = "storage-unavailable"
