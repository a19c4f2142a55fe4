"""Why a run stopped, in words that a person can act on."""

from tasks.core.errors import CookbookError

NO_ROOM = (
    "No space is left on the disk of the store. What was finished is kept: make room, or move "
    "the store to a larger disk (--store), and run the same command again."
)


def ran_out_of_room(error: Exception) -> bool:
    """Whether a disk is full; writers in Rust and C++ raise kinds of their own for it."""
    return "No space left on device" in str(error)


def stop_reason(error: Exception) -> str:
    """The reason as it may leave the machine: a foreign error's own words may quote a member."""
    if isinstance(error, CookbookError):
        return str(error)
    if ran_out_of_room(error):
        return NO_ROOM
    kind = type(error).__name__
    words = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return (
        f"An error that nobody foresaw: {kind}{words}. What was finished is kept; the run's log "
        "says where it arose. Run it again."
    )
