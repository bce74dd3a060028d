"use strict";
// Shows the rows of a table that contain all typed words.
document.querySelectorAll("[data-filter]").forEach((input) => {
  const holder = input.closest(".filter");
  const lines = [...holder.nextElementSibling.querySelectorAll("tbody tr")];
  const texts = lines.map((line) => line.textContent.toLowerCase());
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    lines.forEach((line, n) => {
      line.hidden = !words.every((word) => texts[n].includes(word));
      shown += !line.hidden;
    });
    holder.querySelector(".count").textContent = words.length ? `${shown} of ${lines.length}` : "";
  };
  input.addEventListener("input", filter);
  addEventListener("pageshow", filter); // a browser that returns to the page has kept what was typed
});

const pageData = document.getElementById("page-data");
if (pageData) showCharts(JSON.parse(pageData.textContent));

function showCharts(page) {
  const state = { ...page.start };
  const NOTHING = "–";
  const known = (value) => value !== null && value !== undefined;

  // The records of a feed at what is chosen.
  function records(feed) {
    const table = page.tables[feed.table];
    const found = [];
    for (const g of feed.allGroups ? [0] : feed.allPrecisions ? allPrecisions(state.group) : [state.group]) {
      const columns = table.groups[g];
      if (!columns) continue;
      const wanted = feed.chosen.map((field) => [columns[table.columns.indexOf(field)], code(table, field, state[field])]);
      for (let i = 0; i < columns[0].length; i++) {
        if (wanted.every(([column, value]) => column[i] === value)) found.push(record(table, columns, i));
      }
    }
    return found;
  }
  function code(table, field, value) {
    return table.texts[field] ? table.texts[field].indexOf(value) : value;
  }
  function record(table, columns, i) {
    const one = {};
    table.columns.forEach((name, j) => {
      const value = columns[j][i];
      one[name] = table.texts[name] ? (value < 0 ? null : table.texts[name][value]) : value;
    });
    return one;
  }
  function allPrecisions(group) {
    const mine = page.groups[group];
    const same = (options) => options.every((option, n) => n === page.precisionControl || option === mine[n]);
    return page.groups.map((options, g) => (same(options) ? g : -1)).filter((g) => g >= 0);
  }

  // Values as text.
  const digits = (value, n = 3) => {
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(n));
    if (Math.abs(rounded) >= 1e6 || Math.abs(rounded) < 1e-4) return rounded.toExponential(n - 1);
    return Math.abs(rounded) >= 1000 ? whole(Math.round(value)) : value.toPrecision(n);
  };
  const whole = (n) => n.toLocaleString("en");
  const formats = {
    number: (value) => (Number.isInteger(value) && value < 1e15 ? whole(value) : digits(value)),
    percent: (share) => `${Number((100 * share).toPrecision(2))}%`,
    duration: (s) => {
      for (const [unit, factor] of [["s", 1], ["ms", 1e3], ["µs", 1e6]]) if (s * factor >= 0.9995) return `${digits(s * factor)} ${unit}`;
      return `${digits(s * 1e9)} ns`;
    },
  };
  const formatted = (value, format = "number") => (!known(value) ? NOTHING : typeof value === "number" ? formats[format](value) : String(value));
  // A template's text: {field} and {field:format} are values of the record.
  const fill = (template, r) => template.replace(/\{(\w+)(?::(\w+))?\}/g, (_, field, format) => formatted(r[field], format));
  function cell(r, { field, format }) {
    if (!field.includes("{")) return formatted(r[field], format);
    const fields = [...field.matchAll(/\{(\w+)/g)].map((match) => match[1]);
    return fields.every((f) => known(r[f])) ? fill(field, r) : NOTHING;
  }
  const columnsTable = (columns, rows) => table(columns.map((c) => c.heading), rows.map((r) => columns.map((c) => cell(r, c))));
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function table(headings, lines) {
    const numeric = headings.map((_, n) => lines.length > 0 && lines.every((line) => /^(–|[-\d].*)$/.test(line[n])));
    const head = element("tr", {}, ...headings.map((h, n) => element("th", { scope: "col", ...(numeric[n] ? { class: "n" } : {}) }, h)));
    const body = lines.map((line) =>
      element("tr", {}, ...line.map((text, n) => {
        const kind = headings[n] === "status" ? `status ${text}` : numeric[n] ? "n" : text.length > 20 ? "long" : text.length <= 16 ? "short" : "";
        return element("td", kind ? { class: kind } : {}, text);
      })));
    return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  }

  // The choice: a group by its controls, and sizes of it.
  const form = document.getElementById("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  function select(label, options, change) {
    const menu = element("select", {}, ...options.map((text, n) => element("option", { value: n }, text)));
    menu.addEventListener("change", () => change(Number(menu.value)));
    return [element("label", {}, label, menu), menu];
  }
  const menus = page.controls.map((control, n) => {
    const [label, menu] = select(control.label, control.options, (option) => { moveTo(n, option); refresh(); });
    form.append(label);
    return menu;
  });
  const sizes = page.sizes.map(({ field, letter, name }) => {
    const menu = element("select");
    menu.addEventListener("change", () => { state[field] = Number(menu.value); refresh(); });
    form.append(element("label", {}, `${name} ${letter}`, menu));
    return [field, menu];
  });
  // The group with that option that differs least from the chosen one.
  function moveTo(control, option) {
    const mine = page.groups[state.group];
    let best = -1;
    let most = -1;
    page.groups.forEach((options, g) => {
      if (options[control] !== option) return;
      const score = options.reduce((sum, o, n) => sum + (o === mine[n] ? 2 ** (options.length - n) : 0), 0);
      if (score > most) [best, most] = [g, score];
    });
    if (best >= 0) state.group = best;
  }
  function fillMenus() {
    menus.forEach((menu, n) => { menu.value = page.groups[state.group][n]; });
    const all = page.tables[page.answer.records];
    for (const [field, menu] of sizes) {
      const values = [...new Set(all.groups[state.group][all.columns.indexOf(field)])].sort((a, b) => a - b);
      if (!values.includes(state[field])) {
        state[field] = values.reduce((a, b) => (Math.abs(Math.log(b / state[field])) < Math.abs(Math.log(a / state[field])) ? b : a));
      }
      menu.replaceChildren(...values.map((v) => element("option", { value: v }, whole(v))));
      menu.value = state[field];
    }
  }

  const sizeFields = page.sizes.map((size) => size.field);
  const chosenSizes = () => page.sizes.map(({ field, letter }) => `${letter}=${whole(state[field])}`).join(", ");
  // The answer at what is chosen, and every backend there.
  function answer() {
    const { answers, records: all, columns, colourOf, sortBy } = page.answer;
    const [found] = records({ table: answers, chosen: sizeFields });
    const where = [page.titles[state.group], chosenSizes()].filter(Boolean).join(", ");
    document.getElementById("answer").textContent = `${where}: ${found ? fill(found.answer, found) : "not measured. Choose another size."}`;
    const rows = records({ table: all, chosen: sizeFields });
    rows.sort((a, b) => (a[sortBy] ?? Infinity) - (b[sortBy] ?? Infinity));
    const made = columnsTable(columns, rows);
    [...made.tBodies[0].rows].forEach((line, n) => {
      const swatch = element("span", { class: "bar", "aria-hidden": "true" });
      swatch.style.background = page.colours[page.backends.indexOf(rows[n][colourOf]) % page.colours.length];
      line.cells[0].prepend(swatch);
    });
    document.getElementById("one-cell").replaceChildren(made);
  }

  // The charts.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = page.charts.map((chart) => {
    const figure = [...document.querySelectorAll("figure")].find((f) => f.dataset.chart === chart.name);
    const place = figure.querySelector(".chart");
    const one = { ...chart, figure, place, view: null, rows: [] };
    const own = figure.querySelector(".own");
    one.menus = chart.choices.map(({ field, label }) => {
      const [labelled, menu] = select(label, page.backends, (n) => { state[field] = page.backends[n]; update(one); });
      own.append(labelled);
      return [field, menu];
    });
    const save = figure.querySelector(".save");
    for (const [kind, act] of [["SVG", saveSvg], ["PNG", savePng], ["CSV", saveCsv]]) {
      const button = element("button", { type: "button", "aria-label": `Save ${chart.title} as ${kind}` }, `Save ${kind}`);
      button.addEventListener("click", () => act(one));
      save.append(button);
    }
    const behind = figure.querySelector(".behind");
    behind.addEventListener("toggle", () => fillBehind(one));
    one.behind = behind;
    return one;
  });
  function dataOf(one) {
    const data = {};
    for (const [name, feed] of Object.entries(one.feeds)) data[name] = records(feed);
    return data;
  }
  function uniqueOf(one, rows) {
    return Object.entries(one.uniqueValues).map(([signal, field]) => [signal, [...new Set(rows.map((r) => r[field]))].sort((a, b) => a - b)]);
  }
  const widthOf = (one) => Math.max(240, Math.min(one.figure.classList.contains("wide") ? 900 : 640, one.place.clientWidth));
  const heightOf = (one, rows) => one.lineHeight[1] * Math.max(1, new Set(rows.map((r) => r[one.lineHeight[0]])).size);
  const NARROW = 500;
  function specOf(one, data, width) {
    const spec = structuredClone(one.spec);
    spec.datasets = data;
    spec.width = width;
    if (one.lineHeight) spec.height = heightOf(one, data.rows);
    if (width < NARROW) narrow(spec, width);
    for (const [signal, values] of uniqueOf(one, data.rows)) spec.params.find((p) => p.name === signal).value = values;
    return spec;
  }
  const LOOK = { mode: "vega-lite", actions: false, renderer: "svg", logLevel: 1 };
  async function draw(one) {
    const data = dataOf(one);
    if (one.view) one.view.finalize();
    const spec = specOf(one, data, widthOf(one));
    one.narrow = spec.width < NARROW;
    const made = await vegaEmbed(one.place, spec, { ...LOOK, tooltip: { theme: dark.matches ? "dark" : "light" } });
    one.view = made.view;
    // The place has the role and the name of the picture; Vega has set its own.
    one.place.setAttribute("role", "img");
    one.place.setAttribute("aria-label", one.title);
    one.place.removeAttribute("aria-roledescription");
    one.place.querySelector("svg").setAttribute("aria-hidden", "true");
    if (one.selectsCell) {
      one.view.addEventListener("click", (_, item) => {
        if (!item || !item.datum || !sizeFields.every((field) => known(item.datum[field]))) return;
        for (const field of sizeFields) state[field] = item.datum[field];
        refresh();
      });
    }
    describe(one, data);
  }
  // One column in the legends where there is little room.
  function narrow(part, width) {
    if (!part || typeof part !== "object") return;
    if (part.legend && part.legend.columns) Object.assign(part.legend, { columns: 1, labelLimit: width - 100 });
    Object.values(part).forEach((inner) => narrow(inner, width));
  }
  function describe(one, data) {
    one.rows = data.rows;
    one.key = keyOf(one);
    const empty = one.rows.length === 0;
    one.place.hidden = empty;
    one.figure.querySelector(".empty").hidden = !empty;
    const { allGroups, chosen } = one.feeds.rows;
    const caption = (one.captions[allGroups ? 0 : state.group] || {})[one.captionedBy.map((field) => state[field]).join("\n")];
    const at = sizeFields.every((field) => chosen.includes(field)) ? `Shown: ${chosenSizes()}. ` : "";
    const none = empty ? "" : "No backend has what this chart shows; the table has the reasons.";
    one.figure.querySelector(".caption").textContent = caption ? at + caption : none;
    for (const [field, menu] of one.menus) menu.value = page.backends.indexOf(state[field]);
    fillBehind(one);
  }
  async function update(one) {
    if (!one.view) return;
    const data = dataOf(one);
    for (const [name, rows] of Object.entries(data)) one.view.data(name, rows);
    for (const [signal, values] of uniqueOf(one, data.rows)) one.view.signal(signal, values);
    if (one.lineHeight) one.view.height(heightOf(one, data.rows));
    await one.view.runAsync();
    describe(one, data);
  }
  function fillBehind(one) {
    const place = one.behind.querySelector(".scroll");
    if (!one.behind.open) return place.replaceChildren();
    place.replaceChildren(columnsTable(one.columns.filter(({ field }) => one.rows.some((r) => known(r[field]))), one.rows));
  }
  // What a chart depends on: while it is the same, the chart needs no update.
  function keyOf(one) {
    const feeds = Object.values(one.feeds).map((feed) => [feed.allGroups || state.group, feed.chosen.map((f) => state[f])]);
    return JSON.stringify([feeds, one.captionedBy.map((f) => state[f])]);
  }
  const rest = () => new Promise((resolve) => setTimeout(resolve));
  function inSight(one) {
    const { top, bottom } = one.figure.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }
  let turn = 0;
  // The answer at once, then the charts in sight, then the others; a newer choice ends the update of an older one.
  async function refresh() {
    const mine = ++turn;
    document.documentElement.dataset.busy = 1;
    fillMenus();
    answer();
    for (const one of [...charts].sort((a, b) => inSight(b) - inSight(a))) {
      await rest();
      if (mine !== turn) return;
      if (one.key !== keyOf(one)) await update(one);
    }
    if (mine === turn) document.documentElement.dataset.busy = 0;
  }

  // Saving: files are made here, without any request.
  function fileName(one, ending) {
    const { allGroups, chosen } = one.feeds.rows;
    const sizes = sizeFields.filter((field) => chosen.includes(field)).map((field) => `${field} ${state[field]}`);
    const parts = [one.name, allGroups ? "" : page.titles[state.group], fill(one.choiceText, state), ...sizes];
    return parts.join(" ").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 120) + ending;
  }
  function save(name, blob) {
    const link = element("a", { download: name, href: URL.createObjectURL(blob) });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  // What is shown, as text; without the precision for a chart of all precisions.
  function choice(one) {
    const { allGroups, allPrecisions, chosen } = one.feeds.rows;
    if (allGroups) return "";
    const sizes = page.sizes.filter(({ field }) => chosen.includes(field)).map(({ field, name }) => `${name} ${whole(state[field])}`);
    return [page.descriptions[state.group][Number(allPrecisions)], ...sizes].join(", ");
  }
  // The chart as a picture for use elsewhere: with its title, run and machine.
  async function pictured(one, use) {
    const what = [one.title, fill(one.choiceText, state), choice(one)].filter(Boolean).join(", ");
    const spec = specOf(one, dataOf(one), widthOf(one));
    const limit = Math.max(30, Math.floor(spec.width / 6.5));
    spec.title = { text: wrapped(what, limit), subtitle: wrapped(page.stamp, limit), anchor: "start", fontSize: 13, subtitleFontSize: 11, color: "#1b1f24", subtitleColor: "#4d5761" };
    const made = await vegaEmbed(element("div"), spec, LOOK);
    await use(made.view, what);
    made.view.finalize();
  }
  function wrapped(text, limit) {
    const lines = [""];
    for (const word of text.split(" ")) {
      if (lines.at(-1) && lines.at(-1).length + word.length >= limit) lines.push("");
      lines.push((lines.pop() + " " + word).trim());
    }
    return lines;
  }
  const markup = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  function saveSvg(one) {
    return pictured(one, async (view, what) => {
      const caption = one.figure.querySelector(".caption").textContent;
      const named = (await view.toSVG()).replace(/^<svg[^>]*>/, (start) => `${start}<title>${markup(what)}</title><desc>${markup(caption)}</desc>`);
      save(fileName(one, ".svg"), new Blob([named], { type: "image/svg+xml" }));
    });
  }
  function savePng(one) {
    return pictured(one, async (view) => {
      const canvas = await view.toCanvas(2);
      save(fileName(one, ".png"), await new Promise((done) => canvas.toBlob(done, "image/png")));
    });
  }
  function saveCsv(one) {
    const about = { choice: choice(one), measured: page.stamp };
    const rows = one.rows.map((r) => ({ ...r, ...about }));
    const fields = rows.length ? Object.keys(rows[0]) : [];
    // a text that a spreadsheet would read as a formula gets a quote in front
    const safe = (text) => (/^[=+\-@\t\r]/.test(text) ? "'" + text : text);
    const quoted = (v) => (known(v) ? `"${safe(String(v).replace(/[\u2068\u2069]/g, "")).replace(/"/g, '""')}"` : "");
    const lines = [fields.join(","), ...rows.map((r) => fields.map((f) => (typeof r[f] === "number" ? r[f] : quoted(r[f]))).join(","))];
    save(fileName(one, ".csv"), new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  }

  let resizing;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => charts.forEach((one) => one.view && (widthOf(one) < NARROW === one.narrow ? one.view.width(widthOf(one)).runAsync() : draw(one))), 150);
  });
  // Where the menus stick to the top, they must not cover the target of a link or the focus.
  const room = () => {
    const sticks = getComputedStyle(form).position === "sticky";
    document.documentElement.style.scrollPaddingTop = sticks ? `${form.offsetHeight + 16}px` : "";
  };
  addEventListener("resize", room);
  room();
  fillMenus();
  answer();
  const began = charts.reduce((before, one) => before.then(() => draw(one)), Promise.resolve());
  began.then(() => { document.documentElement.dataset.drawn = charts.length; });
}
