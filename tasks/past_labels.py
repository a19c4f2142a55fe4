"""The labels made before: under which policy, by which judge, from which pairs.

Every label run is noted beside the payment journal, by the digest of its artifact. From there
an edit of the policy finds the policy that the stored labels were made under.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from tasks.asking import labels_folder
from tasks.core.errors import CookbookError
from tasks.core.policy import Policy, parse_policy
from tasks.core.store.artifacts import MANIFEST, Artifact, find, store_root
from tasks.core.store.files import write_json
from tasks.exchange import POLICY, Domain
from tasks.settings import JudgeSettings, LabelSettings

_NOTED = "made.json"


@dataclass(frozen=True)
class PastLabels:
    """A label run that is still in the store, with what it was made from."""

    judgments: Artifact

    def input(self, kind: str) -> Artifact:
        """The artifact of a kind that these labels were made from.

        Raises:
            CookbookError: it is no longer in the store.
        """
        return _input_of(self.judgments, kind)

    @property
    def policy(self) -> Policy:
        return parse_policy(self.input("policy").file(POLICY))

    @property
    def domain(self) -> Domain:
        """As much of the domain as asking a judge needs."""
        policy, catalog = self.input("policy"), self.input("catalog")
        return Domain(policy, _input_of(self.input("verdict"), "golden"), catalog, None, None, None)

    @property
    def settings(self) -> tuple[JudgeSettings, LabelSettings]:
        """The settings that the labels were made with.

        Raises:
            CookbookError: they come from a version of the project with other settings.
        """
        manifest = json.loads(self.judgments.file(MANIFEST).read_text(encoding="utf-8"))
        found = manifest["key"]["settings"]
        try:
            return JudgeSettings(**found["judge"]), LabelSettings(**found["labels"])
        except (ValidationError, KeyError, TypeError):
            raise CookbookError(
                "The last labels were made with settings that this version does not know; run "
                "`cookbook label` once more, which bills nothing that is in the journal."
            ) from None


def note_labels(judgments: Artifact) -> None:
    """Remember these labels as the last ones."""
    earlier = [digest for digest in _noted() if digest != judgments.digest]
    write_json(labels_folder() / _NOTED, {"digests": [*earlier, judgments.digest]})


def past_labels() -> Iterator[PastLabels]:
    """Label runs of the domain that are still in the store, the last one first."""
    for digest in reversed(_noted()):
        found = find(store_root() / "artifacts" / "judgments" / digest[:16])
        if found is not None:
            yield PastLabels(found)


def _input_of(artifact: Artifact, kind: str) -> Artifact:
    for digest in artifact.inputs:
        found = find(store_root() / "artifacts" / kind / digest[:16])
        if found is not None:
            return found
    raise CookbookError(
        f"The last labels were made from a {kind} that is no longer in the store; run "
        "`cookbook label` once more, which bills nothing that is in the journal."
    )


def _noted() -> list[str]:
    path = labels_folder() / _NOTED
    if not path.exists():
        return []
    found: list[str] = json.loads(path.read_text(encoding="utf-8"))["digests"]
    return found
