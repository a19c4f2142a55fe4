"""Guards what a scorer reads: one template, no groups, nothing invisible."""

import json
from dataclasses import replace

from tasks.core.inputs import InputTemplate, render_attributes, render_candidate, render_pair

DOCUMENT = {
    "doc_id": "d1",
    "title": "Nurse",
    "text": "Night shifts.",
    "attributes": json.dumps({"work_mode": "on site", "skills": ["ICU", "triage"], "pay": 0}),
    "groups": json.dumps({"gender": "secret"}),
}


def test_attributes_keep_the_users_order_without_empty_ones():
    attributes = {"work_mode": "remote", "b": None, "a": [], "skills": ["x", "y"], "c": "", "n": 2}
    assert render_attributes(attributes) == "work mode: remote; skills: x, y; n: 2"


def test_a_zero_or_a_no_is_a_value():
    assert render_attributes({"pay": 0, "remote": False}) == "pay: 0; remote: False"


def test_a_pair_is_rendered_by_the_template():
    text = render_pair(InputTemplate(max_tokens=64), "icu nurse", "", DOCUMENT)
    assert text.left == "icu nurse"
    named = "work mode: on site; skills: ICU, triage; pay: 0"
    assert text.right == f"Nurse. on site. Night shifts. {named}"


def test_who_asks_stands_on_the_left_side():
    template = InputTemplate(max_tokens=64, member="{member} asks {query}")
    assert render_pair(template, "nurse", "A cook", DOCUMENT).left == "A cook asks nurse"
    assert render_pair(template, "nurse", "", DOCUMENT).left == "nurse"


def test_groups_reach_no_model():
    text = render_pair(InputTemplate(max_tokens=64), "nurse", "A cook", DOCUMENT)
    assert "secret" not in text.left + text.right


def test_braces_in_a_users_text_are_text():
    """A document that writes a placeholder must not be filled in or break the run."""
    document = DOCUMENT | {"text": "{query} {0} {", "attributes": "{}"}
    text = render_pair(InputTemplate(max_tokens=64), "{title}", "{", document)
    assert text.left == "{title} | {"
    assert text.right == "Nurse. {query} {0} {"


def test_invisible_characters_are_gone():
    document = DOCUMENT | {"title": "Nu\u200brse\u202e", "attributes": ""}
    assert render_candidate(InputTemplate(max_tokens=64), document) == "Nurse. Night shifts."


def test_the_most_telling_sentences_stand_before_the_cut():
    """After the title and the facets, which may say the same, and before all attributes."""
    text = "We are a friendly place. On site. Icu skills are asked for."
    document = DOCUMENT | {"text": text, "attributes": '{"work_mode": "on site"}'}
    template = InputTemplate(max_tokens=32, worths={"icu": 6.0, "site": 9.0, "friendly": 1.0})
    first, last = "Icu skills are asked for.", "We are a friendly place. On site."
    expected = f"Nurse. on site. {first} {last} work mode: on site"
    assert render_candidate(template, document) == expected
    plain = render_candidate(InputTemplate(max_tokens=32), document)
    assert plain == f"Nurse. on site. {text} work mode: on site"
    # Title, facets and text have 15 words, which fit into a half of 64 tokens.
    assert render_candidate(replace(template, max_tokens=64), document) == plain


def test_sentences_are_known_by_what_a_reader_sees():
    """Words counted in clean texts must be found in one with soft hyphens and wide letters."""
    document = DOCUMENT | {"text": "We are friendly. We want ＩＣ\u00adＵ.", "title": "Nu\u00adrse"}
    template = InputTemplate(max_tokens=16, worths={"icu": 6.0, "nurse": 9.0})
    assert render_candidate(template, document).startswith("Nurse. on site. We want ICU. We are")


def test_a_template_survives_its_json():
    template = InputTemplate(max_tokens=9, prefix="a", suffix="b", worths={"icu": 1.5})
    assert InputTemplate(**json.loads(json.dumps(template.to_json()))) == template


def test_a_scorer_of_before_worths_reads_texts_as_written():
    card = InputTemplate(max_tokens=9, worths={"icu": 1.5}).to_json()
    del card["worths"]
    assert InputTemplate(**card) == InputTemplate(max_tokens=9)
