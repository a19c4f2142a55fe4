"""Random effects as they are served: models, the features they see, and how far they learned."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.personalization.entity_kinds import entities_of_kind
from tasks.core.personalization.features import PairFeatureMap, pair_features
from tasks.core.personalization.game_files import load_game, save_game
from tasks.core.personalization.game_model import GameModel, GivenScores, RandomEffect
from tasks.core.personalization.rows import Rows, ScoreTable
from tasks.core.tables import Row, read_rows, write_table

Floats = npt.NDArray[np.float64]
Vectors = Mapping[str, npt.NDArray[np.float32]]
PAIR = "pair"


@dataclass(frozen=True)
class PairView:
    """What effects see of a pair: scaled scores and directions of the document's embedding.

    `vectors` are embeddings by doc_id, made by the encoder of this fingerprint.
    """

    feature_map: PairFeatureMap
    vectors: Vectors
    encoder: str

    def rows(
        self,
        rows: Sequence[Row],
        click_logits: Floats,
        kinds: Sequence[str],
        catalog: Catalog,
    ) -> Rows:
        """Impressions or pairs with click logits (n,) as rows of a fit, numbered from 0.

        A document without a vector is seen as the average one.
        """
        average = self.feature_map.embedding_mean
        embeddings = np.array([self.vectors.get(row.get("doc_id", ""), average) for row in rows])
        features = pair_features(self.feature_map, click_logits[:, None], embeddings)
        clicked = [row["clicked"] for row in rows if "clicked" in row]
        return Rows(
            row_ids=[str(number) for number in range(len(rows))],
            labels=np.array(clicked, dtype=np.float64) if len(clicked) == len(rows) else None,
            features={PAIR: features},
            entity_ids={kind: entities_of_kind(kind, rows, catalog) for kind in kinds},
            feature_names={PAIR: self.feature_map.names},
        )


@dataclass(frozen=True)
class Effects:
    """Random effects on top of the click logit; `learned_until` is the newest impression's second.

    They learned from impressions up to that second and from none after it.
    """

    game: GameModel
    view: PairView
    learned_until: int

    def logits(self, rows: Sequence[Row], click_logits: Floats, catalog: Catalog) -> Floats:
        """Click logits (n,) with each row's effects added in; an unknown entity adds nothing."""
        joined = self.view.rows(rows, click_logits, kinds_of(self.game), catalog)
        return self.game.score(joined, given_to(self.game, joined, click_logits))

    def parts(
        self, rows: Sequence[Row], click_logits: Floats, catalog: Catalog
    ) -> dict[str, Floats]:
        """What `logits` adds up, by name: the click logits given, then each kind's effects (n,)."""
        joined = self.view.rows(rows, click_logits, kinds_of(self.game), catalog)
        return self.game.coordinate_scores(joined, given_to(self.game, joined, click_logits))

    def save(self, folder: Path) -> None:
        """Write everything into `folder`; equal effects give equal bytes."""
        save_game(self.game, folder)
        self.view.feature_map.save(folder / "features.safetensors")
        vectors = self.view.vectors
        columns = {"doc_id": list(vectors), "vector": list(vectors.values())}
        write_table(folder / "document_vectors.parquet", columns)
        about = {"learned_until": self.learned_until, "encoder": self.view.encoder}
        (folder / "about.json").write_text(json.dumps(about, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Effects":
        """Open saved effects. Raises CookbookError if `folder` holds none."""
        description = folder / "about.json"
        if not description.is_file():
            raise CookbookError(f"Expected random effects in {folder}, found no about.json.")
        about = json.loads(description.read_text(encoding="utf-8"))
        stored = read_rows(folder / "document_vectors.parquet")
        vectors = {row["doc_id"]: np.asarray(row["vector"], dtype=np.float32) for row in stored}
        feature_map = PairFeatureMap.load(folder / "features.safetensors")
        view = PairView(feature_map, vectors, about["encoder"])
        return cls(load_game(folder), view, about["learned_until"])


def kinds_of(game: GameModel) -> list[str]:
    """The kinds of entities that the game's random effects belong to."""
    return [one.entity for one in game.coordinates if isinstance(one, RandomEffect)]


def given_to(game: GameModel, rows: Rows, click_logits: Floats) -> dict[str, ScoreTable]:
    """The click logits (n,) as the scores of the coordinates that were trained elsewhere."""
    table = ScoreTable(rows.row_ids, click_logits)
    return {one.name: table for one in game.coordinates if isinstance(one, GivenScores)}
