"""The tables of README.md that a run makes: `make publish` puts them in, no one types them."""

import json
import re

import pandas as pd

from utils import files, settings

READMES = [settings.ROOT / name for name in ("README.md", "README.pt-BR.md")]
EVIDENCE = settings.ROOT / "notebooks" / "09_evidence.ipynb"
LANDMARK = "<!-- {} -->"


def main():
    """Put the tables of the default run between their landmarks in README.md, in both languages."""
    tables = {"verdicts": verdicts(files.load_table("verdicts"), headings(EVIDENCE))}
    costs = settings.TABLES / "benchmark.csv"
    if costs.exists():  # where `make benchmark` was run; else the table stays
        tables["benchmark"] = benchmark(pd.read_csv(costs))
    for readme in READMES:
        text = readme.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = put(text, name, table)
        with files.whole(readme) as path:
            path.write_text(text, encoding="utf-8")


def put(text, name, table):
    """The text with `table` between the landmarks of that name; ValueError without them."""
    start, end = LANDMARK.format(name), LANDMARK.format(f"/{name}")
    if start not in text or end not in text:
        raise ValueError(f"A README lacks the landmarks {start} and {end}: put them back.")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n{table}\n{end}{rest.split(end, 1)[1]}"


def headings(notebook):
    """The notebook's second-level headings."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"^## (.+)$", "\n".join(texts), re.MULTILINE)


def verdicts(table, titles):
    """The verdicts as a table in Markdown, each with a link to the section that measures it."""
    lines = ["| claim | test | effect, 95 % interval | n | verdict |", "|---|---|---|---|---|"]
    for row in table.itertuples():
        number = row.claim.split(".")[0]
        title = next(t for t in titles if re.match(rf"Claims? .*\b{number}\b", t))
        link = f"notebooks/{EVIDENCE.name}#{title.replace(' ', '-')}"
        effect = f"{row.effect:.3g} ({row.low:.3g} to {row.high:.3g})"
        test = f"{row.test} ({row.baseline:.3g})"
        lines.append(f"| [{row.claim}]({link}) | {test} | {effect} | {row.n} | **{row.verdict}** |")
    return "\n".join(lines)


def benchmark(table):
    """The costs of the techniques that all libraries were asked for, as a table in Markdown."""
    compared = table[table["ratio_to_tf_keras_vis"].notna()]
    compared = compared.sort_values(["technique", "precision", "maps_per_second"])
    lines = [f"Measured on: {table['machine'].iloc[0]}.", ""]
    lines += ["| technique | by | precision | maps a second | times tf-keras-vis | of limit |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in compared.itertuples():
        cost = f"{row.maps_per_second:.3g} | {row.ratio_to_tf_keras_vis:.3g}"
        cost += f" | {row.share_of_limit:.0%}"
        case = f"{row.technique} | {row.implementation} | {row.precision}"
        lines.append(f"| {case} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
