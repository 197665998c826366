// Shows the columns that a column is computed from and those computed from it. The URL fragment names the table or column.
"use strict";

const { layers, tables, parents } = JSON.parse(document.getElementById("data").textContent);
const byName = new Map(tables.map((table) => [table.name, table]));
const rawTables = new Set(tables.filter((table) => table.layer === "raw").map((table) => table.name));
const children = {};
for (const [child, sources] of Object.entries(parents)) {
  for (const source of sources) (children[source] ??= []).push(child);
}
const search = document.getElementById("search");

function make(tag, properties = {}, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

function tableOf(column) {
  return column.slice(0, column.lastIndexOf("."));
}

function link(name, ...content) {
  return make("a", { href: "#" + name }, ...content);
}

function selection() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (byName.has(name)) return { table: name, column: null };
  const table = tableOf(name);
  const known = byName.get(table)?.columns.some((column) => `${table}.${column.name}` === name);
  return known ? { table, column: name } : { table: null, column: null };
}

function listTables(current) {
  const term = search.value.trim().toLowerCase();
  const groups = layers.map((layer) => {
    const shown = tables.filter((table) => table.layer === layer && matches(table, term));
    const list = make("ul", { className: "plain" }, ...shown.map((table) => {
      const anchor = link(table.name, table.name.slice(table.name.indexOf(".") + 1));
      if (table.name === current) anchor.setAttribute("aria-current", "true");
      return make("li", {}, anchor);
    }));
    const open = Boolean(term) || layer === "reports" || layer === "marts" || byName.get(current)?.layer === layer;
    return shown.length ? [make("details", { open }, make("summary", {}, `${layer} (${shown.length})`), list)] : [];
  }).flat();
  document.getElementById("tables").replaceChildren(...(groups.length ? groups : [make("p", {}, "No table or column has this name.")]));
}

function matches(table, term) {
  return table.name.includes(term) || table.columns.some((column) => column.name.includes(term));
}

function showTable({ table: name, column: selected }) {
  const section = document.getElementById("table");
  const table = byName.get(name);
  if (!table) return section.replaceChildren();
  const rows = table.columns.map((column) => {
    const anchor = link(`${name}.${column.name}`, column.name, make("small", {}, column.type));
    anchor.title = column.description;
    if (`${name}.${column.name}` === selected) anchor.setAttribute("aria-current", "true");
    return make("li", {}, anchor);
  });
  section.replaceChildren(
    make("h2", {}, name), make("p", {}, make("small", {}, table.description)), make("ul", { className: "plain" }, ...rows),
  );
}

function showPath({ column }) {
  const section = document.getElementById("path");
  if (!column) return section.replaceChildren();
  const described = byName.get(tableOf(column)).columns.find(({ name }) => `${tableOf(column)}.${name}` === column);
  const origins = [...reach(column, parents)].filter((name) => rawTables.has(tableOf(name)) && name !== column).sort();
  const chips = origins.map((name) => make("li", {}, link(name, name)));
  section.replaceChildren(
    make("h2", {}, column),
    make("p", {}, described.description || ""),
    ...(chips.length ? [make("h3", {}, "Source columns"), make("ul", { className: "origins" }, ...chips)] : []),
    make("h3", {}, "Computed from"), tree(column, parents, "No column: a constant, or a value that dbt adds."),
    make("h3", {}, "Used by"), tree(column, children, "No model."),
  );
}

function reach(start, steps) {
  const seen = new Set([start]);
  for (const name of seen) for (const next of steps[name] ?? []) seen.add(next);
  return seen;
}

// A column that is reached on several paths is expanded once.
function tree(start, steps, emptyText) {
  const seen = new Set();
  const branch = (name) => make("ul", {}, ...(steps[name] ?? []).map((next) => {
    const item = make("li", {}, link(next, next));
    if (seen.has(next)) {
      if (steps[next]) item.append(make("small", {}, " as above"));
    } else {
      seen.add(next);
      if (steps[next]) item.append(branch(next));
    }
    return item;
  }));
  if (!steps[start]?.length) {
    return make("p", {}, make("small", {}, rawTables.has(tableOf(start)) && steps === parents ? "A source column." : emptyText));
  }
  const list = branch(start);
  list.className = "tree";
  return list;
}

function show() {
  const current = selection();
  listTables(current.table);
  showTable(current);
  showPath(current);
  document.title = `${current.column ?? current.table ?? "Column lineage"} · DVD rental data`;
}

search.addEventListener("input", () => listTables(selection().table));
addEventListener("hashchange", () => {
  show();
  const { table, column } = selection();
  // On a narrow screen the selection is below the list.
  if (matchMedia("(max-width: 60rem)").matches && table) {
    document.getElementById(column ? "path" : "table").scrollIntoView({ behavior: "smooth" });
  }
});
show();
