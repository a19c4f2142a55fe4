"""What identifies a person does not leave the machine, wherever it stands."""

import json

import pytest

from tasks.core.labeling.masking import mask_contacts
from tasks.core.labeling.outgoing import PERSONAL, list_sent, outgoing_document, outgoing_member
from tasks.core.labeling.prompts import DEFAULT_PROMPT, LabelRequest, request_messages
from tasks.core.policy import Policy

MEMBER = {
    "member_id": "m1",
    "text": "Ward nurse. Write to ann.lee@example.org or call +31 20 555 0134.",
    "attributes": {"skills": ["triage", "ICU"], "Full Name": "Ann Lee", "gender": "f", "years": 7},
    "groups": {"gender": "canary-group"},
}
JOB = {
    "doc_id": "d1",
    "title": "Ward nurse",
    "text": "Night shifts. Ask Ann Lee, or just Ann. Planning is in annual leave.",
    "attributes": MEMBER["attributes"],
    "groups": MEMBER["groups"],
}


def test_personal_attributes_and_groups_stay_here() -> None:
    text = outgoing_document(JOB)
    assert "canary-group" not in text
    assert text.endswith(" | skills: triage, ICU; years: 7")


def test_a_name_in_the_attributes_is_taken_out_of_the_text_as_well() -> None:
    assert "Ask [name], or just [name]. Planning is in annual leave." in outgoing_document(JOB)
    assert outgoing_member(MEMBER | {"text": "Ann, nurse"}) == "[name], nurse"


def test_an_allow_list_cannot_let_a_personal_field_out() -> None:
    everything = outgoing_document(JOB, allowed=[*PERSONAL, "Full Name", "skills"])
    assert "Ann" not in everything
    assert "years" not in outgoing_document(JOB, allowed=["skills"])


def test_the_list_of_what_was_sent_says_what_was_not() -> None:
    job = JOB | {"attributes": json.dumps(JOB["attributes"])}
    fields = list_sent([job], [MEMBER], allowed=["skills", "Full Name"])
    assert fields["document"].sent == ("skills", "text", "title")
    assert fields["document"].withheld == ("Full Name", "gender", "groups", "years")
    # Of a member the text alone goes.
    assert fields["member"].sent == ("text",)
    assert fields["member"].withheld == ("Full Name", "gender", "groups", "skills", "years")


def test_contact_data_in_the_text_is_masked_in_every_prompt(policy: Policy) -> None:
    request = LabelRequest(
        "p", "nurse", str(MEMBER["text"]), "See www.example.org/job?id=1, (020) x"
    )
    content = request_messages(policy, request, DEFAULT_PROMPT)[1]["content"]
    assert "Write to [e-mail] or call [phone]." in content
    assert "See [link]" in content
    assert "example.org" not in content


@pytest.mark.parametrize(
    "text",
    [
        "C++ and C# since 2019",
        "EAN 4006381333931",
        "3 + 4 years, 40-60 hours",
        "iPhone 8 64GB",
        "a @ b",
    ],
)
def test_what_is_no_contact_is_left_alone(text: str) -> None:
    assert mask_contacts(text) == text


@pytest.mark.parametrize(
    "text", ["+1 (415) 555-0134", "415-555-0134", "(415) 555-0134", "+31205550134", "a.b@c.example"]
)
def test_what_is_a_contact_goes(text: str) -> None:
    assert mask_contacts(f"x {text} y") in ("x [phone] y", "x [e-mail] y")
