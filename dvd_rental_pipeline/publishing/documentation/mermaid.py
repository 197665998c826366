"""An entity-relationship diagram as Mermaid text, which GitHub and the Dagster UI render in Markdown."""

import re

from dvd_rental_pipeline.publishing.documentation.entity_model import Entity, EntityModel


def entity_diagram(model: EntityModel) -> str:
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
        # At most one row per key if the foreign key is the primary key.
        many = "|o" if source.key == (edge.column,) else "}o"
        lines.append(f"    {source.short_name} {many}--|| {target.short_name} : {edge.column}")
    return "\n".join(lines) + "\n"


def _keys(table: Entity, column: str, foreign: set[tuple[str, str]]) -> str:
    is_primary, is_foreign = column in table.key, (table.name, column) in foreign
    keys = ["PK"] * is_primary + ["FK"] * is_foreign
    return f" {', '.join(keys)}" if keys else ""


def _type(name: str) -> str:
    """A type as Mermaid accepts it: one word, without commas."""
    return re.sub(r"[^\w()\[\]-]+", "_", name.replace(", ", "-").replace(",", "-")) or "unknown"
