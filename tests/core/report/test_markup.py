import pytest

from tasks.core.report.markup import Html, element, join


def test_text_is_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = element("b", "1 < 2 & 3")
    assert element("p", "<i>", inner) == "<p>&lt;i&gt;<b>1 &lt; 2 &amp; 3</b></p>"


def test_an_attribute_cannot_be_left_through_a_quote() -> None:
    assert element("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'


def test_attribute_names_follow_html_and_none_is_left_out() -> None:
    assert (
        element("td", class_="x", data_label="y", id=None) == '<td class="x" data-label="y"></td>'
    )


@pytest.mark.parametrize(("value", "written"), [(2.0, "2"), (1 / 3, "0.33"), (-0.5, "-0.5")])
def test_coordinates_keep_two_decimals(value: float, written: str) -> None:
    assert element("rect", x=value) == f'<rect x="{written}"></rect>'


def test_an_element_without_content_has_no_end_tag() -> None:
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_joining_gives_markup_and_drops_none() -> None:
    joined = join("a<", None, Html("<br>"))
    assert joined == "a&lt;<br>"
    assert isinstance(joined, Html)
