{#
  The `check` strategy with another key of a version: that of dbt is made of the row's key and time, and a version
  would be lost if its content changed within one tick of the clock, or a column was added to `check_cols`.
#}
{% macro snapshot_committed_strategy(node, snapshotted_rel, current_rel, model_config, target_exists) %}
    {% set strategy = snapshot_check_strategy(
        node, snapshotted_rel, current_rel, model_config, target_exists
    ) %}
    {% set content = [config.get("unique_key"), config.get("updated_at")] + config.get("check_cols") %}
    {% do strategy.update({"scd_id": snapshot_hash_arguments(content)}) %}
    {% do return(strategy) %}
{% endmacro %}
