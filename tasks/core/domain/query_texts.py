"""A query_id means one query in all files of a domain: a pair's id is made of it, not of the text.

Where two queries shared one, pairs of the second would count as copies of the first's, and get its
labels and its grades.
"""

from tasks.core.errors import CookbookError
from tasks.core.text import sanitize


class QueryTexts:
    """The text of each query_id that was read, and where it stood first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def add(self, query_id: str, query: str, where: str) -> None:
        """Texts that differ in case and spaces alone are one: members type as they like.

        Raises:
            CookbookError: the id is empty, or came with another text.
        """
        if not query_id.strip():
            raise CookbookError(f"{where}: query_id must not be empty. Fill it in.")
        text, first = self._known.setdefault(query_id, (query, where))
        if text != query and _folded(text) != _folded(query):
            raise CookbookError(
                f"{where}: a query_id has one query in all files of a domain; {query_id!r} came "
                f"with {query!r} here and with {text!r} in {first}. Give one of them a query_id of "
                "its own; where files are numbered each from 1, put a letter before those of one."
            )


def _folded(text: str) -> str:
    return sanitize(text).casefold()
