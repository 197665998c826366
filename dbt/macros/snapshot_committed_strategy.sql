{#
  Snapshot strategy `committed`: dbt's `check` strategy with a different version key. dbt hashes the row's key and
  time; here the checked columns are hashed too, so that no version is lost when a row changes twice at the same time
  or a column is added to `check_cols`.
#}
{% macro snapshot_committed_strategy(node, snapshotted_rel, current_rel, model_config, target_exists) %}
    {% set strategy = snapshot_check_strategy(
        node, snapshotted_rel, current_rel, model_config, target_exists
    ) %}
    {% set content = [config.get("unique_key"), config.get("updated_at")] + config.get("check_cols") %}
    {% do strategy.update({"scd_id": snapshot_hash_arguments(content)}) %}
    {% do return(strategy) %}
{% endmacro %}
