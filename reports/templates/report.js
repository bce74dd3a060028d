"use strict";
// Lines of a table that hold what was typed.
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
  addEventListener("pageshow", filter); // a browser that comes back to the page has kept what was typed
});

const held = document.getElementById("page-data");
if (held) showCharts(JSON.parse(held.textContent));

function showCharts(page) {
  const state = { ...page.start };
  const NOTHING = "–";
  const known = (value) => value !== null && value !== undefined;

  // Records of a table at the present choice, or at another group's.
  function records(feed, group = state.group) {
    const table = page.tables[feed.table];
    const found = [];
    for (const g of feed.everywhere ? [0] : feed.across ? alike(group) : [group]) {
      const columns = table.groups[g];
      if (!columns) continue;
      const wanted = feed.held.map((field) => [columns[table.columns.indexOf(field)], code(table, field, state[field])]);
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
  function alike(group) {
    const mine = page.groups[group];
    const same = (options) => options.every((option, n) => n === page.precisionControl || option === mine[n]);
    return page.groups.map((options, g) => (same(options) ? g : -1)).filter((g) => g >= 0);
  }

  // Numbers in words.
  const digits = (value, n = 3) => {
    if (!known(value)) return NOTHING;
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(n));
    if (Math.abs(rounded) >= 1e6 || Math.abs(rounded) < 1e-4) return rounded.toExponential(n - 1);
    return Math.abs(rounded) >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(n);
  };
  const duration = (s) => {
    if (!known(s)) return NOTHING;
    for (const [unit, factor] of [["s", 1], ["ms", 1e3], ["µs", 1e6]]) if (s * factor >= 0.9995) return `${digits(s * factor)} ${unit}`;
    return `${digits(s * 1e9)} ns`;
  };
  const percent = (share) => (known(share) ? `${Number((100 * share).toPrecision(2))}%` : NOTHING);
  const whole = (n) => (known(n) ? n.toLocaleString("en") : NOTHING);
  const DURATIONS = new Set(["time", "low", "high", "floor"]);
  const computed = {
    "@step": (r) => (known(r.time) ? r.time / r.steps : null),
    "@reached": (r) => (known(r.time) && known(r.floor) ? r.floor / r.time : null),
    "@speed": (r) => (known(r.time) && known(r.flops) ? r.flops / r.time : null),
  };
  function cell(r, field, seconds) {
    const value = computed[field] ? computed[field](r) : r[field];
    if (!known(value)) return NOTHING;
    if (field === "@reached") return percent(value);
    if (field === "@step" || (seconds && DURATIONS.has(field))) return duration(value);
    if (typeof value !== "number") return value;
    return Number.isInteger(value) && value < 1e15 ? whole(value) : digits(value);
  }
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
  const sizes = {};
  for (const [field, label] of [["steps", "sequence length T"], ["batch", "batch size B"]]) {
    const menu = element("select");
    menu.addEventListener("change", () => { state[field] = Number(menu.value); refresh(); });
    form.append(element("label", {}, label, menu));
    sizes[field] = menu;
  }
  // The group with that option that differs least from the present one.
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
    const columns = page.tables.cells.groups[state.group];
    for (const field of ["steps", "batch"]) {
      const values = [...new Set(columns[page.tables.cells.columns.indexOf(field)])].sort((a, b) => a - b);
      if (!values.includes(state[field])) {
        state[field] = values.reduce((a, b) => (Math.abs(Math.log(b / state[field])) < Math.abs(Math.log(a / state[field])) ? b : a));
      }
      sizes[field].replaceChildren(...values.map((v) => element("option", { value: v }, whole(v))));
      sizes[field].value = state[field];
    }
  }

  const cellWords = () => `T=${whole(state.steps)}, B=${whole(state.batch)}`;
  // The answer in words, and every backend at this choice.
  function answer() {
    const where = [page.titles[state.group], cellWords()].filter(Boolean).join(", ");
    const [win] = records({ table: "wins", held: ["steps", "batch"] });
    const rows = records({ table: "cells", held: ["steps", "batch"] });
    rows.sort((a, b) => (a.time ?? Infinity) - (b.time ?? Infinity));
    const said = document.getElementById("answer");
    if (!win) said.textContent = `${where}: not measured. Choose another size.`;
    else {
      const range = known(win.margin_low) ? ` (95%: ${digits(win.margin_low)} to ${digits(win.margin_high)})` : "";
      const best = rows.find((r) => r.backend === win.fastest);
      said.textContent = `${where}: ` + {
        win: () => `${win.fastest} is fastest, ${digits(win.margin)}x faster than ${win.rival}${range}.`,
        tie: () => `no clear winner; ${win.rival} takes ${digits(win.margin)} times the time of ${win.fastest}${range}.`,
        undecided: () => `undecided between ${win.fastest} and ${win.rival}: too few samples side by side.`,
        alone: () => `only ${win.fastest} has a time.`,
        none: () => "no backend has a time.",
      }[win.outcome]() + (win.shaky ? " A time there is UNSTABLE: measure there again before you believe it." : "") + (page.failed.includes(win.fastest) ? ` The property suite says FAIL of ${win.fastest}: do not trust its times.` : "") + (best ? ` ${best.backend} takes ${duration(best.time)}${best.status === "UNSTABLE" ? " (UNSTABLE)" : ""}${known(best.floor) ? `, ${percent(best.floor / best.time)} of the floor reached` : ""}.` : "");
    }
    const least = rows.length ? rows[0].time : null;
    const lines = rows.map((r) => [
      r.backend, r.status, duration(r.time), known(r.low) ? `${duration(r.low)} to ${duration(r.high)}` : NOTHING,
      known(r.time) ? digits(r.time / least) : NOTHING, cell(r, "@reached"), known(r.bits) ? r.bits.toFixed(1) : NOTHING,
      known(r.bound) ? digits(r.bound) : NOTHING, r.reason ?? NOTHING,
    ]);
    const headings = ["backend", "status", "time per call", "95% interval", "over the least median", "floor reached", "effective bits", "error / bound", "reason"];
    const made = table(headings, lines);
    [...made.tBodies[0].rows].forEach((line, n) => {
      const swatch = element("span", { class: "bar", "aria-hidden": "true" });
      swatch.style.background = page.colours[page.backends.indexOf(rows[n].backend) % page.colours.length];
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
    if (chart.sliceBy === "pair") {
      one.pair = ["backend", "base"].map((field) => {
        const [label, menu] = select(field === "base" ? "against" : "speed-up of", page.backends, (n) => { state[field] = page.backends[n]; update(one); });
        own.append(label);
        return [field, menu];
      });
    }
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
  function listsOf(one, rows) {
    return Object.entries(one.lists).map(([signal, field]) => [signal, [...new Set(rows.map((r) => r[field]))].sort((a, b) => a - b)]);
  }
  const widthOf = (one) => Math.max(240, Math.min(one.figure.classList.contains("wide") ? 900 : 640, one.place.clientWidth));
  const heightOf = (one, rows) => one.lines[1] * Math.max(1, new Set(rows.map((r) => r[one.lines[0]])).size);
  const NARROW = 500;
  function specOf(one, data, width) {
    const spec = structuredClone(one.spec);
    spec.datasets = data;
    spec.width = width;
    if (one.lines) spec.height = heightOf(one, data.rows);
    if (width < NARROW) narrow(spec, width);
    for (const [signal, values] of listsOf(one, data.rows)) spec.params.find((p) => p.name === signal).value = values;
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
    // The place is the picture, and has its name: what was drawn in it has taken both.
    one.place.setAttribute("role", "img");
    one.place.setAttribute("aria-label", one.title);
    one.place.removeAttribute("aria-roledescription");
    one.place.querySelector("svg").setAttribute("aria-hidden", "true");
    if (one.name === "who-wins-where") {
      one.view.addEventListener("click", (_, item) => {
        if (!item || !item.datum || !known(item.datum.steps)) return;
        state.steps = item.datum.steps;
        state.batch = item.datum.batch;
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
    const group = one.captions[one.feeds.rows.everywhere ? 0 : state.group] || {};
    const key = { pair: `${state.backend}\n${state.base}`, steps: state.steps, batch: state.batch }[one.sliceBy] ?? "";
    const at = ["steps", "batch"].every((f) => one.feeds.rows.held.includes(f)) ? `Shown: ${cellWords()}. ` : "";
    const none = empty ? "" : "No backend has what this chart shows; why is in its table.";
    one.figure.querySelector(".caption").textContent = group[key] ? at + group[key] : none;
    if (one.pair) for (const [field, menu] of one.pair) menu.value = page.backends.indexOf(state[field]);
    fillBehind(one);
  }
  async function update(one) {
    if (!one.view) return;
    const data = dataOf(one);
    for (const [name, rows] of Object.entries(data)) one.view.data(name, rows);
    for (const [signal, values] of listsOf(one, data.rows)) one.view.signal(signal, values);
    if (one.lines) one.view.height(heightOf(one, data.rows));
    await one.view.runAsync();
    describe(one, data);
  }
  function fillBehind(one) {
    const place = one.behind.querySelector(".scroll");
    if (!one.behind.open) return place.replaceChildren();
    const seconds = !one.columns.some(([field]) => field === "ratio");
    const used = one.columns.filter(([field]) => one.rows.some((r) => known(computed[field] ? computed[field](r) : r[field])));
    place.replaceChildren(table(used.map(([, heading]) => heading), one.rows.map((r) => used.map(([field]) => String(cell(r, field, seconds))))));
  }
  // What a chart's records depend on: where that has not changed, neither have they.
  function keyOf(one) {
    return JSON.stringify(Object.values(one.feeds).map((feed) => [feed.everywhere || state.group, feed.held.map((f) => state[f])]).concat([one.sliceBy && state[one.sliceBy]]));
  }
  const rest = () => new Promise((resolve) => setTimeout(resolve));
  function inSight(one) {
    const { top, bottom } = one.figure.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }
  let turn = 0;
  // The answer at once, then the charts in sight, then the others; a newer choice ends what an older one began.
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

  // Saving: everything is made here, nothing is asked from anywhere.
  function fileName(one, ending) {
    const words = [one.name, one.feeds.rows.everywhere ? "" : page.titles[state.group], one.sliceBy === "pair" ? `${state.backend} ${state.base}` : "", one.feeds.rows.held.filter((f) => f === "steps" || f === "batch").map((f) => `${f} ${state[f]}`).join(" ")];
    return words.join(" ").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 120) + ending;
  }
  function save(name, blob) {
    const link = element("a", { download: name, href: URL.createObjectURL(blob) });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  // What is shown, in words: of a chart that shows all precisions side by side without one.
  function choice(one) {
    if (one.feeds.rows.everywhere) return "";
    const sizes = [["steps", "sequence length"], ["batch", "batch size"]].filter(([field]) => one.feeds.rows.held.includes(field));
    return [page.words[state.group][Number(one.feeds.rows.across)], ...sizes.map(([field, word]) => `${word} ${whole(state[field])}`)].join(", ");
  }
  // The chart as a picture that stands by itself: with its title, and the run and machine that it is of.
  async function pictured(one, use) {
    const what = [one.title, one.sliceBy === "pair" ? `${state.backend} against ${state.base}` : "", choice(one)].filter(Boolean).join(", ");
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
    // a text that a spreadsheet would take for a formula begins with a quote
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
  // What is jumped to, or has the focus, is not to lie behind the menus where they stick to the top.
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
