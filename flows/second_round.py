"""Labels of a second round, at what the first left unexercised and where it went wrong."""

from tasks.core.store.artifacts import Artifact
from tasks.exchange import Domain
from tasks.label import label
from tasks.mine_pairs import mine_pairs
from tasks.settings import Settings
from tasks.write_queries import write_llm_queries


def label_again(
    domain: Domain,
    pairs: Artifact,
    judgments: Artifact,
    judge: Artifact,
    verdict: Artifact,
    s: Settings,
) -> Artifact:
    """Judgments of both rounds; the first's where the settings want no second."""
    if not s.synthesis.second_round_pairs:
        return judgments
    aimed = write_llm_queries(domain, judge, verdict, s.encoder, s.judge, s.synthesis, judgments)
    more = mine_pairs(domain, pairs, judgments, aimed, s.encoder, s.synthesis, s.mix)
    return label(domain, more, judge, verdict, s.encoder, s.judge, s.labels)
