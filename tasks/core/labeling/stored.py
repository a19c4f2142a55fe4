"""Labels that the payment journal holds: read again without a call, one pair at a time.

Labeling leaves its answers in the journal, so memory need not hold them: whoever wants a label
reads it back from the disk, where a repaired answer stands behind the bad one.
"""

from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest, repair_key, request_key
from tasks.core.labeling.replies import Judgment, ReplyError, Status, parse_reply
from tasks.core.policy import Policy


def stored_label(
    judge: Judge, request: LabelRequest, *, read_under: Policy | None = None
) -> Judgment | None:
    """The judge's label of a pair as the journal has it; None where it has none that is usable.

    ``read_under`` another policy than the judge's, the answer is parsed and aggregated by that
    one: new weights and caps take effect, and an answer it does not allow is no label.
    """
    key = request_key(judge.policy, request, judge.prompt, judge.endpoint)
    pinned = judge.endpoint.pinned_model
    for found, status in ((key, Status.LABELED), (repair_key(key), Status.REPAIRED)):
        reply = judge.journal.result(found)
        if reply is None or (pinned is not None and reply.model != pinned):
            continue
        try:
            return parse_reply(
                reply,
                read_under or judge.policy,
                pair_id=request.pair_id,
                prompt_hash=judge.prompt.digest,
                needs_dimensions=judge.endpoint.is_llm,
                status=status,
            )
        except ReplyError:
            continue
    return None
