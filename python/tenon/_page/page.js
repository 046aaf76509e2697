"use strict";
// The page is drawn already: this adds moving, zooming, searching and details.
window.addEventListener("error", (e) => { document.body.dataset.error = e.message; });
(() => {
  const network = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const kernels = network.kernels;
  const isTimed = network.profile !== null;
  const weight = (k) => (isTimed ? k.seconds : k.operations);
  const sum = kernels.reduce((s, k) => s + weight(k), 0) || 1;
  const most = Math.max(...kernels.map(weight), 0) || 1;
  const nodeOf = new Map(all(".node.kernel").map((n) => [Number(n.dataset.kernel), n]));
  let chosen = null;

  // ---- text ----
  const time = (s) => (s >= 1e-3 ? (s * 1e3).toFixed(3) + " ms" : (s * 1e6).toFixed(1) + " us");
  const count = (n) => {
    for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
      if (n >= size) return (n / size).toPrecision(3) + unit;
    return String(n) + " ";
  };
  const bytes = (n) => {
    for (const [size, unit] of [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [1024, " KiB"]])
      if (n >= size) return (n / size).toFixed(2) + unit;
    return n + " B";
  };
  const place = (line) => line.replace(/^.*[\\/]/, "");  // without the folders
  const make = (tag, text, ...children) => {
    const element = document.createElement(tag);
    if (text !== null) element.textContent = text;
    element.append(...children);
    return element;
  };

  // ---- moving and zooming: one view for each drawing ----
  class View {
    constructor(svg) {
      this.svg = svg;
      this.group = svg.querySelector(".view");
      this.width = Number(svg.dataset.width);
      this.height = Number(svg.dataset.height);
      this.x = 0; this.y = 0; this.scale = 1; this.isMoved = false;
      svg.addEventListener("wheel", (e) => {
        e.preventDefault();
        const at = this.point(e);
        this.zoom(Math.exp(-e.deltaY * (e.deltaMode === 1 ? 0.05 : 0.0018)), at.x, at.y);
      }, { passive: false });
      svg.addEventListener("pointerdown", (e) => this.drag(e));
    }
    point(e) {
      const r = this.svg.getBoundingClientRect();
      return { x: e.clientX - r.left, y: e.clientY - r.top };
    }
    drag(start) {
      if (start.button !== 0) return;
      let last = start, moved = 0;
      const move = (e) => {
        moved += Math.abs(e.clientX - last.clientX) + Math.abs(e.clientY - last.clientY);
        if (moved > 4) this.svg.classList.add("dragging");
        this.move(e.clientX - last.clientX, e.clientY - last.clientY);
        last = e;
      };
      const end = () => {
        window.removeEventListener("pointermove", move);
        window.removeEventListener("pointerup", end);
        // A click follows at once; it is none when the drawing was moved.
        setTimeout(() => this.svg.classList.remove("dragging"), 0);
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", end);
    }
    apply() {
      this.group.setAttribute("transform",
        `translate(${this.x.toFixed(2)} ${this.y.toFixed(2)}) scale(${this.scale.toFixed(4)})`);
    }
    move(dx, dy) { this.x += dx; this.y += dy; this.isMoved = true; this.apply(); }
    zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
      const scale = Math.min(Math.max(this.scale * factor, 0.02), 8);
      this.x = x - (x - this.x) * scale / this.scale;
      this.y = y - (y - this.y) * scale / this.scale;
      this.scale = scale;
      this.isMoved = true;
      this.apply();
    }
    fit() {
      const w = this.svg.clientWidth, h = this.svg.clientHeight;
      this.scale = Math.min((w - 40) / Math.max(this.width, 1), (h - 40) / Math.max(this.height, 1), 1.5);
      this.x = (w - this.width * this.scale) / 2;
      this.y = (h - this.height * this.scale) / 2;
      this.apply();
    }
    // The beginning at a size that can be read.
    start() {
      this.fit();
      if (this.scale >= 0.75) return;
      const w = this.svg.clientWidth, h = this.svg.clientHeight;
      this.scale = Math.min(1, Math.max((w - 40) / this.width, 0.6));
      this.x = (w - this.width * this.scale) / 2;
      this.y = this.height * this.scale > h ? 20 : (h - this.height * this.scale) / 2;
      const first = this.svg.querySelector(".node");
      if (first && this.width * this.scale > w) this.center(first, true);
      this.apply();
    }
    center(element, onlyX = false) {
      const box = element.getBBox();
      const shift = element.transform.baseVal.consolidate();
      const dx = shift ? shift.matrix.e : 0, dy = shift ? shift.matrix.f : 0;
      if (this.scale < 0.5) this.scale = 0.8;
      this.x = this.svg.clientWidth / 2 - (box.x + dx + box.width / 2) * this.scale;
      this.isMoved = this.isMoved || !onlyX;
      if (!onlyX) this.y = this.svg.clientHeight / 2 - (box.y + dy + box.height / 2) * this.scale;
      this.apply();
    }
  }
  const graph = new View(byId("graph-drawing"));
  const memory = new View(byId("memory-drawing"));
  let view = graph;

  // ---- tabs ----
  const tabs = ["graph", "memory", "rewrites"];
  const open = (name) => {
    for (const tab of tabs) {
      byId("tab-" + tab).setAttribute("aria-selected", String(tab === name));
      byId("panel-" + tab).hidden = tab !== name;
    }
    document.querySelector(".zoom").hidden = name === "rewrites";
    view = name === "memory" ? memory : graph;
    if (name !== "rewrites" && !view.isMoved) view === graph ? graph.start() : memory.fit();
  };
  for (const tab of tabs) byId("tab-" + tab).addEventListener("click", () => open(tab));

  // ---- details of a kernel ----
  const link = (index) => {
    const button = make("button", `${index} · ${kernels[index].name}`);
    button.className = "link";
    button.addEventListener("click", () => choose(index, true));
    return button;
  };
  const facts = (rows) => {
    const list = make("dl", null);
    for (const [name, value] of rows) if (value !== null) list.append(make("dt", name), make("dd", value));
    return list;
  };
  const section = (title, items) =>
    items.length ? [make("h3", title), make("ul", null, ...items)] : [];
  // The branches and loops around a kernel, the outermost first.
  const around = (k) => {
    const texts = [];
    for (const r of network.regions)
      if (r.first_kernel <= k.index && r.depth < k.depth) texts[r.depth] = r.text.replace(/:$/, "");
    return k.depth ? texts.slice(0, k.depth).join(" > ") : null;
  };
  const show = (k) => {
    const moved = k.bytes_read + k.bytes_written;
    const calls = k.calls === null ? 1 : k.calls;
    const readers = kernels.filter((r) => r.inputs.some((i) => i.call === k.index));
    const blocks = network.memory.blocks.filter((b) => b.first === k.index);
    byId("details").replaceChildren(
      make("h2", `${k.index} · ${k.name}`),
      facts([
        ["result", k.sized_result],
        ["time", isTimed ? `${time(k.seconds)}, ${(100 * k.seconds / sum).toFixed(1)} % of all kernels` : null],
        ["calls", isTimed ? String(calls) : null],
        ["operations", count(k.operations) + "FLOP" + (calls > 1 ? " a call" : "")],
        ["rate", isTimed && k.seconds ? count(k.operations * calls / k.seconds) + "FLOP/s" : null],
        ["read", bytes(k.bytes_read)],
        ["written", bytes(k.bytes_written)],
        ["bandwidth", isTimed && k.seconds ? count(moved * calls / k.seconds) + "B/s" : null],
        ["roof", k.roof === null ? null : `${(100 * k.roof).toFixed(0)} % of ${k.bound === "compute" ? "arithmetic" : "memory"}`],
        ["code", `kernel ${k.code}, shared by ${kernels.filter((o) => o.code === k.code).length} calls`],
        ["inside", around(k)],
        ["made at", place(k.line) || null],
        ["gives", k.outputs.length ? k.outputs.join(", ") : null],
      ]),
      ...section("operators", k.operators.map((op) => make("li", op))),
      ...section("fused into it", k.fused.map((f) =>
        make("li", null, make("code", f.node), make("div", f.reason + (f.line ? ` (${place(f.line)})` : ""))))),
      ...section("reads", k.inputs.map((i) =>
        make("li", null, i.call >= 0 ? link(i.call) : make("span", `${i.from} ${i.name}`),
          make("div", null, make("code", i.sized_type))))),
      ...section("read by", readers.map((r) => make("li", null, link(r.index)))),
      ...section("memory", blocks.map((b) =>
        make("li", `${bytes(b.bytes)} at ${bytes(b.offset)}, until kernel ${b.last}`))));
    for (const div of all("#details li div")) div.className = "why";
  };

  // ---- choosing ----
  const items = new Map();
  const choose = (index, moves) => {
    chosen = index;
    for (const e of all(".chosen, .near")) e.classList.remove("chosen", "near");
    if (index === null) return;
    const node = nodeOf.get(index);
    node.classList.add("chosen");
    for (const edge of all(".edge")) {
      const { from, to } = edge.dataset;
      if (from !== node.dataset.node && to !== node.dataset.node) continue;
      edge.classList.add("near");
      const other = from === node.dataset.node ? to : from;
      document.querySelector(`.node[data-node="${other}"]`).classList.add("near");
    }
    for (const block of all(`.block[data-kernel="${index}"]`)) block.classList.add("chosen");
    const item = items.get(index);
    if (item) { item.classList.add("chosen"); item.scrollIntoView({ block: "nearest" }); }
    if (moves && view === graph) graph.center(node);
    show(kernels[index]);
  };
  for (const element of all(".node.kernel, .block")) {
    element.addEventListener("click", () => {
      if (element.ownerSVGElement.classList.contains("dragging")) return;
      choose(Number(element.dataset.kernel), false);
    });
  }

  // ---- the list, and searching it ----
  const texts = kernels.map((k) => [k.index, k.name, ...k.operators, k.result, k.sized_result,
    ...k.outputs, ...k.fused.map((f) => f.node), ...k.inputs.map((i) => i.name)].join(" ").toLowerCase());
  const fill = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = kernels.filter((k) => words.every((w) => texts[k.index].includes(w)));
    if (byId("order").value === "weight") found.sort((a, b) => weight(b) - weight(a));
    items.clear();
    byId("kernels").replaceChildren(...found.map((k) => {
      const row = make("div", null, make("span", `${k.index} · ${k.name}`),
        make("span", isTimed ? time(k.seconds) : count(k.operations) + "FLOP"));
      row.className = "row";
      const bar = make("div", null);
      bar.className = k.bound || "";
      bar.style.width = (100 * weight(k) / most).toFixed(1) + "%";
      const meter = make("div", null, bar);
      meter.className = "meter";
      const item = make("li", null, row, meter);
      item.addEventListener("click", () => { if (view !== graph) open("graph"); choose(k.index, true); });
      if (k.index === chosen) item.classList.add("chosen");
      items.set(k.index, item);
      return item;
    }));
    byId("found").textContent = words.length ? `${found.length} of ${kernels.length}` : `${kernels.length} kernel calls`;
    const hits = new Set(found.map((k) => k.index));
    for (const [index, node] of nodeOf) {
      node.classList.toggle("hit", words.length > 0 && hits.has(index));
      node.classList.toggle("faded", words.length > 0 && !hits.has(index));
    }
    return found;
  };
  byId("search").addEventListener("input", fill);
  byId("order").addEventListener("change", fill);
  byId("search").addEventListener("keydown", (e) => {
    if (e.key === "Enter") { const found = fill(); if (found.length) choose(found[0].index, true); }
    if (e.key === "Escape") { byId("search").value = ""; fill(); byId("search").blur(); }
  });

  // ---- what passes did ----
  const rows = network.rewrites.map((r) => make("tr", null, make("td", r.pass), make("td", r.action),
    make("td", null, make("code", r.node)), make("td", r.reason),
    r.kernel === null ? make("td", "") : make("td", null, link(r.kernel)), make("td", place(r.line))));
  const head = make("tr", null, ...["pass", "did", "operator", "because", "kernel", "line"].map((t) => make("th", t)));
  byId("panel-rewrites").append(rows.length ? make("table", null, head, ...rows) : make("p", "The passes changed nothing."));
  byId("panel-rewrites").addEventListener("click", (e) => { if (e.target.className === "link") open("graph"); });

  // ---- keys, buttons, theme ----
  const step = (by) => {
    if (!kernels.length) return;
    choose(chosen === null ? 0 : Math.min(Math.max(chosen + by, 0), kernels.length - 1), true);
  };
  const keys = {
    ArrowLeft: () => view.move(60, 0), ArrowRight: () => view.move(-60, 0),
    ArrowUp: () => view.move(0, 60), ArrowDown: () => view.move(0, -60),
    "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8),
    "0": () => view.fit(), f: () => view.fit(), j: () => step(1), k: () => step(-1),
    "/": () => byId("search").focus(), Escape: () => choose(null, false),
  };
  window.addEventListener("keydown", (e) => {
    if (/^(INPUT|SELECT|BUTTON)$/.test(e.target.tagName) || e.ctrlKey || e.metaKey || e.altKey) return;
    if (!keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  });
  byId("zoom-in").addEventListener("click", () => view.zoom(1.25));
  byId("zoom-out").addEventListener("click", () => view.zoom(0.8));
  byId("zoom-fit").addEventListener("click", () => view.fit());
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = (name) => { document.documentElement.dataset.theme = name; };
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () =>
    theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));

  // The place in the address opens a tab or a kernel: #memory, #12.
  const go = () => {
    const place = location.hash.slice(1);
    if (tabs.includes(place)) open(place);
    else if (/^\d+$/.test(place) && Number(place) < kernels.length) choose(Number(place), true);
  };
  fill();
  open("graph");
  go();
  window.addEventListener("hashchange", go);
  window.addEventListener("resize", () => {
    if (view.isMoved || view.svg.clientWidth === 0) return;
    if (view === memory) memory.fit(); else graph.start();
  });
  const drawn = [...nodeOf.values()].filter((n) => n.getBoundingClientRect().width > 0);
  document.body.dataset.kernels = String(drawn.length);
  document.body.dataset.blocks = String(all(".block").length);
})();
