// What every page does: search, and the present verdict of the checks.
"use strict";

const site = (() => {
  const root = document.documentElement.dataset.root;

  function make(tag, properties = {}, ...content) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...content);
    return element;
  }

  function load(path) {
    return new Promise((resolve) => {
      // A part that was never published has no file.
      const script = make("script", { src: root + path, onload: resolve, onerror: resolve });
      document.head.append(script);
    });
  }

  // Each part publishes a file that appends its entries to this list: a page opened from a file cannot fetch one.
  window.siteSearch = [];
  let index = null;

  function loadIndex() {
    index ??= Promise.all(["executive", "sales", "customers", "films", "service", "wholesale", "product_sales", "docs"].map((part) => load(`${part}/search.js`)));
    return index;
  }

  async function search(text) {
    const list = document.getElementById("search-results");
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return list.replaceChildren();
    await loadIndex();
    const score = ({ title, text: rest = "" }) => {
      const [head, body] = [title.toLowerCase(), rest.toLowerCase()];
      return words.reduce((sum, word) => {
        if (head.includes(word)) return sum + (head.startsWith(word) ? 3 : 2);
        return body.includes(word) ? sum + 1 : -Infinity;
      }, 0);
    };
    const order = ["page", "chart", "table", "column"];
    const found = window.siteSearch
      .map((entry) => ({ entry, points: score(entry) }))
      .filter(({ points }) => points > 0)
      .sort((a, b) => b.points - a.points || order.indexOf(a.entry.kind) - order.indexOf(b.entry.kind))
      .slice(0, 20);
    const items = found.map(({ entry }) => make("li", {}, make("a", { href: root + entry.url }, entry.title, make("small", {}, `${entry.kind} · ${entry.place}`))));
    list.replaceChildren(...(items.length ? items : [make("li", { className: "none" }, "Nothing found.")]));
  }

  function listen() {
    const input = document.getElementById("search-site");
    const list = document.getElementById("search-results");
    if (!input) return;
    input.addEventListener("focus", loadIndex, { once: true });
    input.addEventListener("input", () => search(input.value));
    input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      list.querySelector("a")?.click();
    });
    input.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        input.value = "";
        list.replaceChildren();
        input.focus();
      }
      const stops = [input, ...list.querySelectorAll("a")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (!input.form.contains(event.target) || event.target.closest("#search-results a")) list.replaceChildren();
    });
  }

  // The checks are evaluated more often than a page is built, so the verdict is loaded and not part of the page.
  async function showVerdicts() {
    const places = [...document.querySelectorAll("[data-verdict]")];
    if (!places.length) return;
    await load("checks/status.js");
    for (const place of places) {
      const status = window.siteStatus?.pages[place.dataset.verdict];
      if (!status) continue;
      if (place.dataset.short !== undefined) {
        place.textContent = status.text;
        continue;
      }
      const pdf = document.getElementById("pdf");
      if (pdf && status.pdf) Object.assign(pdf, { href: root + status.pdf, hidden: false });
      place.className = `verdict ${status.state}`;
      const link = make("a", { href: `${root}checks/index.html` }, "Data quality");
      place.replaceChildren(`${status.text} `, ...(status.state === "passed" ? [] : ["See ", link, "."]));
    }
  }

  // On a narrow screen the navigation scrolls.
  const here = document.querySelector(".site-head [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;
  listen();
  showVerdicts();
  return { make, load };
})();
