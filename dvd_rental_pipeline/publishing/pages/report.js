// Draws the charts of a page, applies its filters, and fills the table of each chart.
"use strict";

(() => {
  const { make } = site;
  const { config, datasets, charts, filters } = JSON.parse(document.getElementById("content").textContent);
  const views = new Map();
  const state = Object.fromEntries(filters.map((filter) => [filter.name, 0]));

  const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
  const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const decimal = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
  const monthName = new Intl.DateTimeFormat("en-US", { month: "short", year: "numeric", timeZone: "UTC" });
  const formats = {
    money: (value) => money.format(value),
    count: (value) => count.format(value),
    number: (value) => decimal.format(value),
    percent: (value) => `${decimal.format(value)} %`,
    month: (value) => monthName.format(new Date(value)),
  };

  function format(kind, value) {
    if (value === null || value === undefined) return "–";
    return formats[kind] ? formats[kind](value) : String(value);
  }

  const isNumber = (kind) => ["money", "count", "number", "percent"].includes(kind);

  // A test of a row's position for each filter of the chart that is set.
  function tests(chart, data) {
    return filters.filter((filter) => chart.filters.includes(filter.name)).flatMap((filter) => {
      const { values } = filter.options[state[filter.name]];
      if (values === null) return [];
      const kept = new Set(values);
      const column = data.columns[filter.field];
      return [(position) => kept.has(column[position])];
    });
  }

  function summed(chart, data, positions) {
    const groups = new Map();
    for (const position of positions) {
      const key = chart.group.map((name) => data.columns[name][position]);
      const id = JSON.stringify(key);
      let row = groups.get(id);
      if (!row) {
        row = Object.fromEntries(chart.group.map((name, index) => [name, key[index]]));
        for (const name of chart.sums) row[name] = 0;
        groups.set(id, row);
      }
      for (const name of chart.sums) row[name] += data.columns[name][position] ?? 0;
    }
    const rows = [...groups.values()];
    for (const row of rows) {
      // Sums of cents, free of binary remainders.
      for (const name of chart.sums) row[name] = Math.round(row[name] * 100) / 100;
      for (const [name, [above, below, factor]] of Object.entries(chart.ratios)) {
        row[name] = row[below] ? Math.round((row[above] / row[below]) * factor * 100) / 100 : null;
      }
    }
    return rows;
  }

  function rowsOf(chart) {
    const data = datasets[chart.data];
    const checks = tests(chart, data);
    const positions = [];
    for (let position = 0; position < data.length; position += 1) {
      if (checks.every((keeps) => keeps(position))) positions.push(position);
    }
    const names = Object.keys(data.columns);
    const rows = chart.group.length
      ? summed(chart, data, positions)
      : positions.map((position) => Object.fromEntries(names.map((name) => [name, data.columns[name][position]])));
    if (chart.order) {
      const descending = chart.order.startsWith("-");
      const name = descending ? chart.order.slice(1) : chart.order;
      const isOther = (row) => chart.last !== "" && Object.values(row).includes(chart.last);
      rows.sort((a, b) => isOther(a) - isOther(b) || (a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0) * (descending ? -1 : 1));
    }
    return { rows: chart.limit ? rows.slice(0, chart.limit) : rows, total: rows.length };
  }

  function fillTable(chart, rows) {
    const body = rows.map((row) => make("tr", {}, ...chart.columns.map(({ field, kind }) => (
      make("td", { className: isNumber(kind) ? "number" : "" }, format(kind, row[field]))
    ))));
    if (!body.length) body.push(make("tr", {}, make("td", { className: "empty", colSpan: chart.columns.length }, "No rows for this selection.")));
    const head = chart.columns.map(({ label, kind }) => make("th", { scope: "col", className: isNumber(kind) ? "number" : "" }, label));
    const table = make("table", {}, make("caption", { className: "unseen" }, chart.question), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
    document.querySelector(`#chart-${chart.name} .rows`).replaceChildren(table);
  }

  async function draw(chart, rows) {
    const place = document.querySelector(`#chart-${chart.name} .picture`);
    if (!place) return;
    if (!rows.length) {
      views.get(chart.name)?.finalize();
      views.delete(chart.name);
      place.replaceChildren(make("p", { className: "empty" }, "No data for this selection."));
      return;
    }
    const drawn = views.get(chart.name);
    if (drawn) {
      await drawn.view.data("rows", rows).runAsync();
    } else {
      const spec = { ...chart.spec, data: { name: "rows", values: rows } };
      // Vega does not wrap a legend: on a phone, three long names beside each other are cut.
      const legend = { ...config.legend, columns: place.clientWidth < 480 ? 1 : config.legend.columns };
      views.set(chart.name, await vegaEmbed(place, spec, {
        config: { ...config, legend }, actions: false, ast: true, defaultStyle: false, renderer: "svg", logLevel: 1,
        tooltip: { disableDefaultStyle: true, theme: "custom" },
      }));
    }
    // The picture has a name and a table: its marks are not read out one by one.
    place.querySelector("svg")?.setAttribute("aria-hidden", "true");
  }

  // Rows as Vega takes them when they are replaced: it parses dates only when it reads a specification.
  function forVega(chart, rows) {
    const times = chart.columns.filter(({ kind }) => kind === "month" || kind === "day").map(({ field }) => field);
    return rows.map((row) => ({ ...row, ...Object.fromEntries(times.map((name) => [name, row[name] === null ? null : Date.parse(row[name])])) }));
  }

  async function show(chart) {
    const { rows, total } = rowsOf(chart);
    const shown = document.querySelector(`#chart-${chart.name} .shown`);
    shown.textContent = total > rows.length ? `The first ${count.format(rows.length)} of ${count.format(total)}.` : "";
    const details = document.querySelector(`#chart-${chart.name} details`);
    if (!details || details.open) fillTable(chart, rows);
    await draw(chart, forVega(chart, rows));
  }

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const filter of filters) {
      const position = filter.options.findIndex(({ label }) => label === given.get(filter.name));
      state[filter.name] = Math.max(position, 0);
      document.getElementById(`filter-${filter.name}`).selectedIndex = state[filter.name];
    }
  }

  function writeAddress() {
    const set = filters.filter((filter) => state[filter.name]);
    const text = new URLSearchParams(set.map((filter) => [filter.name, filter.options[state[filter.name]].label]));
    history.replaceState(null, "", set.length ? `#${text}` : location.pathname + location.search);
  }

  async function apply(changed) {
    const started = performance.now();
    await Promise.all(charts.filter((chart) => changed.some((name) => chart.filters.includes(name))).map(show));
    document.documentElement.dataset.filterMilliseconds = String(Math.round(performance.now() - started));
  }

  for (const filter of filters) {
    document.getElementById(`filter-${filter.name}`).addEventListener("change", (event) => {
      state[filter.name] = event.target.selectedIndex;
      writeAddress();
      apply([filter.name]);
    });
  }
  document.getElementById("reset")?.addEventListener("click", () => {
    for (const filter of filters) document.getElementById(`filter-${filter.name}`).selectedIndex = state[filter.name] = 0;
    writeAddress();
    apply(filters.map(({ name }) => name));
  });
  for (const chart of charts) {
    document.querySelector(`#chart-${chart.name} details`)?.addEventListener("toggle", (event) => {
      if (event.target.open) fillTable(chart, rowsOf(chart).rows);
    });
  }
  addEventListener("hashchange", () => {
    readAddress();
    apply(filters.map(({ name }) => name));
  });

  readAddress();
  Promise.all(charts.map(show)).then(() => {
    document.documentElement.dataset.drawn = String(charts.length);
    // An anchor of a chart moves while charts above it are drawn.
    if (location.hash.startsWith("#chart-")) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  });

  // For tests and for readers with a console: the rows that a chart shows.
  window.chartRows = (name) => rowsOf(charts.find((chart) => chart.name === name)).rows;
  window.chartViews = views;
})();
