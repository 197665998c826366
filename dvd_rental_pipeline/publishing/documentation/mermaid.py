"""An entity-relationship diagram as mermaid text, which GitHub and the Dagster UI draw in Markdown."""

import re

from dvd_rental_pipeline.transform.manifest import Model, Table


def entity_diagram(model: Model) -> str:
    """The tables of `model` with their columns and keys, and the references between them."""
    foreign = {(edge.table, edge.column) for edge in model.references}
    lines = ["erDiagram"]
    for table in model.tables.values():
        lines.append(f"    {table.short_name} {{")
        lines.extend(
            f"        {_type(column.type)} {column.name}{_keys(table, column.name, foreign)}"
            for column in table.columns
        )
        lines.append("    }")
    for edge in model.references:
        target, source = model.tables[edge.to_table], model.tables[edge.table]
        # At most one row a key where the reference is the whole key itself.
        many = "|o" if source.key == (edge.column,) else "}o"
        lines.append(f"    {source.short_name} {many}--|| {target.short_name} : {edge.column}")
    return "\n".join(lines) + "\n"


def _keys(table: Table, column: str, foreign: set[tuple[str, str]]) -> str:
    keys = [
        name for name, holds in (("PK", column in table.key), ("FK", (table.name, column) in foreign)) if holds
    ]
    return f" {', '.join(keys)}" if keys else ""


def _type(name: str) -> str:
    """A type as mermaid takes it: one word, without commas."""
    return re.sub(r"[^\w()\[\]-]+", "_", name.replace(", ", "-").replace(",", "-")) or "unknown"
