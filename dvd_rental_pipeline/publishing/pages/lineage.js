// Shows where a column comes from and goes to. The place in the graph is the part of the address after '#'.
"use strict";

const { layers, tables, parents } = JSON.parse(document.getElementById("data").textContent);
const byName = new Map(tables.map((table) => [table.name, table]));
const rawTables = new Set(tables.filter((table) => table.layer === "raw").map((table) => table.name));
const children = {};
for (const [child, sources] of Object.entries(parents)) {
  for (const source of sources) (children[source] ??= []).push(child);
}
const find = document.getElementById("find");

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

function place() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (byName.has(name)) return { table: name, column: null };
  const table = tableOf(name);
  const known = byName.get(table)?.columns.some((column) => `${table}.${column.name}` === name);
  return known ? { table, column: name } : { table: null, column: null };
}

function listTables(current) {
  const wanted = find.value.trim().toLowerCase();
  const groups = layers.map((layer) => {
    const shown = tables.filter((table) => table.layer === layer && matches(table, wanted));
    const list = make("ul", { className: "plain" }, ...shown.map((table) => {
      const anchor = link(table.name, table.name.slice(table.name.indexOf(".") + 1));
      if (table.name === current) anchor.setAttribute("aria-current", "true");
      return make("li", {}, anchor);
    }));
    const open = Boolean(wanted) || layer === "reports" || layer === "marts" || byName.get(current)?.layer === layer;
    return shown.length ? [make("details", { open }, make("summary", {}, `${layer} (${shown.length})`), list)] : [];
  }).flat();
  document.getElementById("tables").replaceChildren(...(groups.length ? groups : [make("p", {}, "Nothing is called so.")]));
}

function matches(table, wanted) {
  return table.name.includes(wanted) || table.columns.some((column) => column.name.includes(wanted));
}

function showTable({ table: name, column: picked }) {
  const section = document.getElementById("table");
  const table = byName.get(name);
  if (!table) return section.replaceChildren();
  const rows = table.columns.map((column) => {
    const anchor = link(`${name}.${column.name}`, column.name, make("small", {}, column.type));
    anchor.title = column.description;
    if (`${name}.${column.name}` === picked) anchor.setAttribute("aria-current", "true");
    return make("li", {}, anchor);
  });
  section.replaceChildren(
    make("h2", {}, name), make("p", {}, make("small", {}, table.description)), make("ul", { className: "plain" }, ...rows),
  );
}

function showPath({ column }) {
  const section = document.getElementById("path");
  if (!column) return section.replaceChildren();
  const described = byName.get(tableOf(column)).columns.find((one) => `${tableOf(column)}.${one.name}` === column);
  const origins = [...reach(column, parents)].filter((name) => rawTables.has(tableOf(name)) && name !== column).sort();
  const chips = origins.map((name) => make("li", {}, link(name, name)));
  section.replaceChildren(
    make("h2", {}, column),
    make("p", {}, described.description || ""),
    ...(chips.length ? [make("h3", {}, "Columns of the source"), make("ul", { className: "origins" }, ...chips)] : []),
    make("h3", {}, "Comes from"), tree(column, parents, "From no column: it is the same in every row, or counted by dbt."),
    make("h3", {}, "Goes to"), tree(column, children, "Nothing reads it."),
  );
}

function reach(start, steps) {
  const seen = new Set([start]);
  for (const name of seen) for (const next of steps[name] ?? []) seen.add(next);
  return seen;
}

// A column that is reached on several ways is followed once.
function tree(start, steps, otherwise) {
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
    return make("p", {}, make("small", {}, rawTables.has(tableOf(start)) && steps === parents ? "The source itself." : otherwise));
  }
  const list = branch(start);
  list.className = "tree";
  return list;
}

function show() {
  const current = place();
  listTables(current.table);
  showTable(current);
  showPath(current);
  document.title = `${current.column ?? current.table ?? "Column lineage"} · DVD rental data`;
}

find.addEventListener("input", () => listTables(place().table));
addEventListener("hashchange", () => {
  show();
  const { table, column } = place();
  // On a narrow screen what was picked lies below.
  if (matchMedia("(max-width: 60rem)").matches && table) {
    document.getElementById(column ? "path" : "table").scrollIntoView({ behavior: "smooth" });
  }
});
show();
