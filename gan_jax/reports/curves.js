// Curves that can be read: values under the pointer or the arrow keys, zoom by dragging, logarithmic axes, smoothing. Each chart
// replaces the static drawing inside its .plot, whose data-chart holds the same points; all charts of a .panels share one range.
(() => {
  const HEIGHT = 240, TOP = 28, BOTTOM = 36, RIGHT = 14;
  const svgTag = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const tag = (name, properties, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const finite = (v) => typeof v === "number" && isFinite(v);
  const number = (v) => {
    if (!finite(v)) return "not finite";
    if (v && (Math.abs(v) >= 1e6 || Math.abs(v) < 1e-3)) return v.toExponential(2);
    return v.toLocaleString("en", { maximumSignificantDigits: Math.abs(v) >= 1000 ? 6 : 4 });
  };

  // Round values between low and high, at most about `count`: 1, 2 or 5 times a power of ten.
  function ticks(low, high, count, log) {
    if (log) {
      const values = [], factors = Math.log10(high / low) < 2.7 ? [1, 2, 5] : [1];
      const every = Math.max(1, Math.ceil(Math.log10(high / low) / count));
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
        if (e % every === 0) values.push(...factors.map((f) => f * 10 ** e));
      const inside = values.filter((v) => v >= low * 0.999 && v <= high * 1.001);
      if (inside.length > 1) return inside;
    }
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough * 0.999);
    const values = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) values.push(+(i * step).toPrecision(12));
    return values;
  }
  const tickText = (v) => {
    if (Math.abs(v) >= 1e4 && Math.abs(v) < 1e7) return `${+(v / 1000).toPrecision(6)}k`;
    return Math.abs(v) >= 1e7 || (v && Math.abs(v) < 1e-4) ? v.toExponential().replace("+", "") : String(+v.toPrecision(6)).replace("-", "−");
  };

  // Exponential moving average whose weights sum to 1 from the first value on, as in TensorBoard.
  function smooth(values, weight) {
    let sum = 0, total = 0;
    return values.map((v) => {
      if (!finite(v)) return v;
      sum = weight * sum + (1 - weight) * v;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  }

  class Chart {
    constructor(plot, group) {
      Object.assign(this, JSON.parse(plot.dataset.chart), { plot, group, hidden: new Set() });
      let shared = [];
      for (const curve of this.curves) if (!("level" in curve)) curve.x = shared = curve.x || shared;
      this.steps = [...new Set(this.curves.flatMap((c) => c.x || []))].sort((a, b) => a - b);
      const values = this.curves.flatMap((c) => ("level" in c ? [c.level] : c.y)).filter(finite);
      this.positive = values.every((v) => v > 0);
      this.build();
      new ResizeObserver(() => this.draw()).observe(plot);
    }

    build() {
      this.note = tag("div", { className: "values", hidden: true });
      this.note.setAttribute("role", "status");
      this.svg = svgTag("svg", { role: "img", "aria-label": this.plot.querySelector("svg").getAttribute("aria-label") });
      this.svg.style.height = `${HEIGHT}px`;
      const bar = tag("div", { className: "bar" });
      if (this.legend && this.curves.length > 1) bar.append(...this.curves.map((curve, i) => this.legendEntry(curve, i)));
      if (this.positive) {
        const button = tag("button", { type: "button", textContent: "log", title: "Logarithmic vertical axis" });
        button.setAttribute("aria-pressed", this.log);
        button.onclick = () => {
          button.setAttribute("aria-pressed", (this.log = !this.log));
          this.draw();
        };
        button.className = "scale";
        bar.append(button);
      } else this.log = false;
      this.plot.replaceChildren(bar, this.svg, this.note);
      this.plot.tabIndex = 0;
      this.plot.setAttribute("role", "group");
      this.plot.setAttribute("aria-label", `${this.y}: arrow keys read values, plus and minus zoom, Escape shows all`);
      this.listen();
    }

    legendEntry(curve, i) {
      const button = tag("button", { type: "button", className: "entry", title: "Show or hide" }, swatch(curve), curve.label);
      button.setAttribute("aria-pressed", true);
      button.onclick = () => {
        this.hidden.has(i) ? this.hidden.delete(i) : this.hidden.add(i);
        button.setAttribute("aria-pressed", !this.hidden.has(i));
        this.draw();
      };
      return button;
    }

    listen() {
      const position = (event) => this.stepAt(event.clientX - this.svg.getBoundingClientRect().left);
      let start = null;
      this.svg.onpointerdown = (event) => {
        if (event.button === 0) start = event.clientX;
      };
      this.svg.onpointermove = (event) => {
        this.group.point(this, this.nearest(position(event)));
        if (start !== null && Math.abs(event.clientX - start) > 4) {
          this.svg.setPointerCapture(event.pointerId);
          const left = this.svg.getBoundingClientRect().left;
          this.select(start - left, event.clientX - left);
        }
      };
      this.svg.onpointerup = (event) => {
        const left = this.svg.getBoundingClientRect().left;
        if (start !== null && Math.abs(event.clientX - start) > 8)
          this.group.zoom(...[start - left, event.clientX - left].map((x) => this.stepAt(x)).sort((a, b) => a - b));
        start = null;
        this.select();
      };
      this.svg.onpointercancel = () => {
        start = null;
        this.select();
      };
      this.svg.onpointerleave = () => this.group.point(null);
      this.svg.ondblclick = () => this.group.zoom();
      this.plot.onblur = () => this.group.point(null);
      this.plot.onkeydown = (event) => {
        if (event.target !== this.plot) return;
        const last = this.steps.length - 1, at = this.steps.indexOf(this.group.step);
        const inside = (i) => Math.min(last, Math.max(0, i));
        const move = { ArrowRight: inside(at + 1), ArrowLeft: at < 0 ? last : inside(at - 1), Home: 0, End: last }[event.key];
        const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
        if (move !== undefined) this.group.point(this, this.steps[move]);
        else if (factor) this.group.scale(factor, this.group.step);
        else if (event.key === "Escape") this.group.zoom();
        else return;
        event.preventDefault();
      };
    }

    nearest(step) {
      return this.steps.reduce((best, s) => (Math.abs(s - step) < Math.abs(best - step) ? s : best), this.steps[0]);
    }
    stepAt(x) {
      const [from, to] = this.group.range, inner = this.width - this.left - RIGHT;
      return from + Math.min(1, Math.max(0, (x - this.left) / inner)) * (to - from);
    }

    draw() {
      this.width = this.plot.clientWidth;
      if (!this.width) return;
      const [from, to] = this.group.range, weight = this.group.weight;
      const shown = this.curves.filter((_, i) => !this.hidden.has(i));
      for (const c of shown) if (c.y) c.line = weight && c.y.length > 2 ? smooth(c.y, weight) : c.y;
      const visible = shown.flatMap((c) => {
        if ("level" in c) return [c.level];
        const inside = c.x.map((x, i) => i).filter((i) => c.x[i] >= from && c.x[i] <= to);
        return inside.flatMap((i) => (c.low && !weight ? [c.line[i], c.low[i], c.high[i]] : [c.line[i]]));
      }).filter((v) => finite(v) && (!this.log || v > 0));
      let low = Math.min(...visible), high = Math.max(...visible);
      if (!visible.length) [low, high] = this.log ? [0.1, 1] : [0, 1];
      if (this.log) [low, high] = high / low > 1.05 ? [low / (high / low) ** 0.05, high * (high / low) ** 0.05] : [low / 1.2, high * 1.2];
      else {
        // A range that is only rounding has no room for ticks.
        const varies = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high));
        const margin = varies ? (high - low) * 0.06 : Math.abs(high) * 0.1 || 1;
        [low, high] = [low - margin, high + margin];
      }
      const scale = this.log ? Math.log : (v) => v;
      const labels = ticks(low, high, 5, this.log);
      this.left = 14 + 6.6 * Math.max(...labels.map((v) => tickText(v).length));
      const inner = [this.width - this.left - RIGHT, HEIGHT - TOP - BOTTOM];
      this.px = (x) => this.left + ((x - from) / (to - from || 1)) * inner[0];
      this.py = (y) => TOP + inner[1] * (1 - (scale(y) - scale(low)) / (scale(high) - scale(low)));
      const axes = svgTag("g", { class: "axes" }), bottom = HEIGHT - BOTTOM;
      for (const v of labels) {
        axes.append(svgTag("line", { x1: this.left, x2: this.width - RIGHT, y1: this.py(v), y2: this.py(v) }));
        axes.append(svgTag("text", { x: this.left - 6, y: this.py(v) + 4, "text-anchor": "end" }, tickText(v)));
      }
      for (const v of ticks(from, to, Math.max(2, Math.min(6, inner[0] / 80)), false))
        axes.append(svgTag("text", { x: this.px(v), y: bottom + 16, "text-anchor": "middle" }, tickText(v)));
      axes.append(svgTag("line", { class: "base", x1: this.left, x2: this.width - RIGHT, y1: bottom, y2: bottom }));
      axes.append(svgTag("text", { x: 0, y: 11 }, this.log ? `${this.y} (log scale)` : this.y));
      axes.append(svgTag("text", { x: this.width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, this.x));
      const id = (this.clip ||= `clip${(Chart.count = (Chart.count || 0) + 1)}`);
      const clip = svgTag("clipPath", { id });
      clip.append(svgTag("rect", { x: this.left - 4, y: TOP - 4, width: inner[0] + 8, height: inner[1] + 8 }));
      const lines = svgTag("g", { "clip-path": `url(#${id})` });
      for (const c of shown) lines.append(...this.curve(c, weight));
      this.cursor = svgTag("g", { class: "cursor" });
      this.selection = svgTag("rect", { class: "selection", y: TOP, height: inner[1], width: 0 });
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
      this.svg.replaceChildren(clip, axes, this.selection, lines, this.cursor);
      this.shown = shown;
      this.point(this.group.chart === this);
    }

    curve(c, weight) {
      const stroke = `var(--${c.colour})`, dash = { "--": "5 4", ":": "2 3", "-.": "7 3 2 3" }[c.dashes] || "none";
      if ("level" in c) return [svgTag("line", { x1: this.left, x2: this.width - RIGHT, y1: this.py(c.level), y2: this.py(c.level), stroke, "stroke-width": 1.2, "stroke-dasharray": dash })];
      const drawable = (v) => finite(v) && (!this.log || v > 0);
      const path = (values) => {
        let pen = "M";
        return c.x.map((x, i) => {
          if (!drawable(values[i])) return (pen = "M"), "";
          const piece = `${pen}${this.px(x).toFixed(1)} ${this.py(values[i]).toFixed(1)}`;
          pen = "L";
          return piece;
        }).join("");
      };
      const parts = [];
      if (c.low) {
        const ends = c.x.map((x, i) => i).filter((i) => drawable(c.high[i]) && drawable(c.low[i]));
        const at = (i, v) => `${this.px(c.x[i]).toFixed(1)} ${this.py(v).toFixed(1)}`;
        const outline = [...ends.map((i) => at(i, c.high[i])), ...ends.reverse().map((i) => at(i, c.low[i]))];
        const several = this.curves.filter((other) => other.low).length;
        if (outline.length) parts.push(svgTag("path", { d: `M${outline.join("L")}Z`, fill: stroke, opacity: several > 4 ? 0.06 : several > 1 ? 0.12 : 0.18 }));
      }
      if (weight && c.line !== c.y) parts.push(svgTag("path", { d: path(c.y), fill: "none", stroke, opacity: 0.3 }));
      parts.push(svgTag("path", { class: "line", d: path(c.line), fill: "none", stroke, "stroke-width": 1.7, "stroke-dasharray": dash }));
      if (c.x.length <= 30)
        c.x.forEach((x, i) => drawable(c.line[i]) && parts.push(svgTag("circle", { cx: this.px(x), cy: this.py(c.line[i]), r: 2.4, fill: stroke })));
      return parts;
    }

    // Mark the group's step; `named` adds the values.
    point(named) {
      const step = this.group.step;
      const [from, to] = this.group.range;
      this.cursor.replaceChildren();
      this.note.hidden = true;
      if (step === null || step < from || step > to) return;
      this.cursor.append(svgTag("line", { x1: this.px(step), x2: this.px(step), y1: TOP, y2: HEIGHT - BOTTOM }));
      const rows = [];
      for (const c of this.shown) {
        const i = c.x ? c.x.indexOf(step) : -1, value = "level" in c ? c.level : c.line[i];
        if (value === undefined) continue;
        if (i >= 0 && finite(value) && (!this.log || value > 0))
          this.cursor.append(svgTag("circle", { cx: this.px(step), cy: this.py(value), r: 3.5, fill: `var(--${c.colour})` }));
        const details = i < 0 ? "" : c.line !== c.y ? ` (raw ${number(c.y[i])})` : c.low ? ` (${number(c.low[i])} to ${number(c.high[i])})` : "";
        rows.push(tag("div", {}, swatch(c), `${c.label} `, tag("b", { textContent: number(value) }), details));
      }
      if (!named) return;
      this.note.replaceChildren(tag("div", { className: "at", textContent: `${this.x} ${number(step)}` }), ...rows);
      this.note.hidden = false;
      const space = this.plot.clientWidth - this.note.offsetWidth, x = this.px(step);
      this.note.style.left = `${Math.max(0, Math.min(space, x + 12 > space ? x - 12 - this.note.offsetWidth : x + 12))}px`;
    }

    select(a, b) {
      const x = a === undefined ? [0, 0] : [a, b].map((v) => Math.min(this.width - RIGHT, Math.max(this.left, v))).sort((p, q) => p - q);
      this.selection.setAttribute("x", x[0]);
      this.selection.setAttribute("width", x[1] - x[0]);
    }
  }

  function swatch(curve) {
    const dash = { "--": "4 3", ":": "2 2", "-.": "6 2 2 2" }[curve.dashes] || "none";
    const svg = svgTag("svg", { class: "mark", viewBox: "0 0 20 8", "aria-hidden": true });
    svg.append(svgTag("line", { x2: 20, y1: 4, y2: 4, stroke: `var(--${curve.colour})`, "stroke-width": 2.5, "stroke-dasharray": dash }));
    return svg;
  }

  // The charts of one .panels: they share the range of steps, the marked step and the smoothing.
  class Group {
    constructor(panels) {
      Object.assign(this, { weight: 0, step: null, chart: null, range: [0, 1] });
      this.charts = [...panels.querySelectorAll(".plot[data-chart]")].map((plot) => new Chart(plot, this));
      if (!this.charts.length) return;
      const steps = this.charts.flatMap((chart) => chart.steps);
      this.all = [Math.min(0, ...steps), Math.max(...steps, 1)];
      this.range = this.all;
      this.reset = tag("button", { type: "button", textContent: "Show all steps", hidden: true, onclick: () => this.zoom() });
      const tools = tag("div", { className: "tools" });
      if (this.charts.some((chart) => chart.curves.some((curve) => curve.x && curve.x.length > 8))) {
        const out = tag("output", { textContent: "0" });
        const slider = tag("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0 });
        slider.oninput = () => {
          this.weight = +slider.value;
          out.textContent = slider.value;
          this.draw();
        };
        tools.append(tag("label", { className: "smoothing" }, "Smoothing", slider, out));
      }
      if (!Group.explained) tools.append(tag("span", { textContent: (Group.explained = "Drag across a chart to zoom; double-click to show all steps.") }));
      tools.append(this.reset);
      panels.before(tools);
      tools.hidden = tools.children.length === 1;
      this.draw();
    }
    draw() {
      for (const chart of this.charts) chart.draw();
    }
    zoom(from, to) {
      this.range = from === undefined || !(to > from) ? this.all : [from, to];
      this.reset.hidden = this.range === this.all;
      this.reset.parentElement.hidden = this.reset.hidden && this.reset.parentElement.children.length === 1;
      this.draw();
    }
    scale(factor, centre) {
      const [from, to] = this.range, middle = centre ?? (from + to) / 2, [low, high] = this.all;
      const range = [Math.max(low, middle - (middle - from) * factor), Math.min(high, middle + (to - middle) * factor)];
      range[0] <= low && range[1] >= high ? this.zoom() : this.zoom(...range);
    }
    point(chart, step = null) {
      Object.assign(this, { chart, step });
      for (const other of this.charts) if (other.cursor) other.point(other === chart);
    }
  }

  for (const panels of document.querySelectorAll(".panels")) new Group(panels);
})();
