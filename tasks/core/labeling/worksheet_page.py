"""A worksheet as one HTML page: the pair beside the policy's clauses, grades exported as CSV.

The page is self-contained, sends nothing, and allows no script but its own: the texts in it are
strangers'. Grades stay in the browser until they are exported, and leaving the page before asks;
the CSV is what ``import_ratings`` reads.
"""

import base64
import hashlib
import html
from collections.abc import Sequence

from tasks.core.labeling.golden import KEY_COLUMNS, Candidate, Shown
from tasks.core.policy import Policy

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1c1c1c; background: #fff; }
main { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 2rem;
  padding: 1rem 2rem; }
article { border-top: 1px solid #ccc; padding: 1rem 0; }
aside { position: sticky; top: 0; height: 100vh; overflow: auto; }
pre { white-space: pre-wrap; font: inherit; background: #f5f5f5; padding: .75rem; }
fieldset { border: 0; padding: 0; margin: .5rem 0; }
label { margin-right: 1rem; }
header { position: sticky; top: 0; background: #fff; padding: 1rem 2rem; z-index: 1;
  border-bottom: 1px solid #ccc; }
"""
# Reads the page's own inputs; cells that a spreadsheet would compute get an apostrophe.
_SCRIPT = """
const pairs = [...document.querySelectorAll('article')];
const columns = document.body.dataset.columns.split(' ');
const shield = cell => /^'*[=+\\-@\\t\\r]/.test(cell) ? "'" + cell : cell;
const quote = cell => '"' + shield(cell).replaceAll('"', '""') + '"';
const chosen = (pair, name) =>
  pair.querySelector(`fieldset[data-name="${name}"] input:checked`)?.value ?? '';
const count = () => {
  const done = pairs.filter(pair => chosen(pair, 'grade') !== '').length;
  document.querySelector('output').textContent = `${done} of ${pairs.length} graded`;
};
let unsaved = false;
document.addEventListener('change', () => { unsaved = true; count(); });
window.addEventListener('beforeunload', event => { if (unsaved) event.preventDefault(); });
document.querySelector('button').addEventListener('click', () => {
  const row = pair => columns.map(name => quote(pair.dataset[name] ?? chosen(pair, name)));
  const lines = [columns, ...pairs.map(row)].map(cells => cells.join(','));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([lines.join('\\n') + '\\n'], {type: 'text/csv'}));
  link.download = 'ratings.csv';
  link.click();
  unsaved = false;
});
count();
"""


def render_worksheet(sample: Sequence[Candidate], policy: Policy, *, shown: Shown) -> str:
    """The page for one rater."""
    dimensions = [f"dim_{dimension.id}" for dimension in policy.dimensions]
    columns = " ".join([*KEY_COLUMNS, *dimensions, "grade"])
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    guard = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    articles = "\n".join(_article(pair, policy, shown) for pair in sample)
    clauses = "\n".join(
        f"<details><summary>{html.escape(clause.id)} {html.escape(clause.title)}</summary>"
        f"<pre>{html.escape(clause.text)}</pre></details>"
        for clause in policy.clauses
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{guard}">
<title>Worksheet: {html.escape(policy.name)} {html.escape(policy.version)}</title>
<style>{_STYLE}</style></head>
<body data-columns="{html.escape(columns)}">
<header><output></output> <button type="button">Export ratings.csv</button></header>
<main><section>
{articles}
</section><aside><h2>Clauses</h2>
{clauses}
</aside></main>
<script>{_SCRIPT}</script></body></html>
"""


def _article(pair: Candidate, policy: Policy, shown: Shown) -> str:
    texts = (shown.members.get(pair.member_id), shown.documents[pair.doc_id])
    read = "".join(f"<pre>{html.escape(text)}</pre>" for text in texts if text)
    # The browser turns data-query_id into dataset.query_id: names are the CSV's own.
    data = " ".join(
        f'data-{name}="{html.escape(getattr(pair, name), quote=True)}"' for name in KEY_COLUMNS
    )
    name = f"{pair.query_id}-{pair.member_id}-{pair.doc_id}"
    fields = [
        _choices(name, f"dim_{dimension.id}", dimension.title, dimension.question, policy)
        for dimension in policy.dimensions
    ]
    fields.append(_choices(name, "grade", "Overall grade", policy.unit, policy))
    return f"<article {data}><h2>{html.escape(pair.query)}</h2>{read}{''.join(fields)}</article>"


def _choices(pair: str, column: str, title: str, question: str, policy: Policy) -> str:
    group = html.escape(f"{pair}-{column}", quote=True)
    options = "".join(
        f'<label title="{html.escape(level.meaning, quote=True)}">'
        f'<input type="radio" name="{group}" value="{level.value}"> '
        f"{level.value} {html.escape(level.name)}</label>"
        for level in policy.grades
    )
    if column != "grade":  # of what does not apply the cell stays empty; a click can be taken back
        options += f'<label><input type="radio" name="{group}" value=""> does not apply</label>'
    legend = f"<legend><b>{html.escape(title)}</b> {html.escape(question)}</legend>"
    return f'<fieldset data-name="{html.escape(column, quote=True)}">{legend}{options}</fieldset>'
