"""Asset groups: a layer with many assets has one for each team that reads them, such as `reports_marketing`."""


def table_group(group: str, layer: str) -> str:
    """The group in a table of layers: the groups of the teams together, as `layer`."""
    return layer if layer and group.startswith(f"{layer}_") else group
