{#
  Condition: the data cover the whole period from the day `start` to before `next_start`: the period is over
  as of `as_of`, and the first of the data is not later than its first day. Otherwise its sums are not
  comparable.
#}
{% macro is_whole_period(start, next_start, first_day, as_of) -%}
    ({{ first_day }} <= {{ start }} and {{ as_of }} >= {{ next_start }})
{%- endmacro %}
