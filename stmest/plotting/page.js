"use strict";
// Sorts the tables, and draws the charts from the numbers in the page. Nothing is fetched.

// A click on the head of a column sorts by it; rows without a number stay at the end, and a second click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
  const key = function (row, column) {
    const cell = row.cells[column];
    if (cell === undefined || cell.className === "failed") { return null; }
    if (heads[column].dataset.kind === "text") { return cell.textContent.trim(); }
    return cell.dataset.key === undefined ? null : Number(cell.dataset.key);
  };
  heads.forEach(function (head, column) {
    head.querySelector("button").addEventListener("click", function () {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      body.append(...Array.from(body.rows).sort(function (a, b) {
        const x = key(a, column), y = key(b, column);
        if (x === null || y === null) { return (x === null) - (y === null); }
        const order = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
        return rising ? order : -order;
      }));
    });
  });
}

(function () {
  const source = document.getElementById("numbers");
  if (source === null) { return; }
  const data = JSON.parse(source.textContent);
  const hidden = new Set(data.models.map(function (_, i) { return i; }).slice(2));
  const byId = function (id) { return document.getElementById(id); };

  function add(parent, name, attributes, text) {
    const child = document.createElementNS(parent.namespaceURI, name);
    for (const key in attributes) { child.setAttribute(key, attributes[key]); }
    if (text !== undefined) { child.textContent = text; }
    parent.append(child);
    return child;
  }

  function said(value) {
    if (value === null || value === undefined) { return "–"; }
    return value.toLocaleString("en", { maximumFractionDigits: 15 });  // rounded before
  }

  // Round numbers that lie within a range, about as many as wanted
  function ticks(low, high, wanted) {
    const rough = (high - low) / wanted, power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = power * [1, 2, 5, 10].find(function (factor) { return factor * power >= rough; });
    const out = [];
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) { out.push(i * step); }
    return { values: out, step: step, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  // Round numbers as text: with all their digits where these are few, else with an exponent
  function written(grid) {
    const digits = Math.min(15, grid.decimals), largest = Math.max(...grid.values.map(Math.abs));
    const texts = grid.values.map(function (value) {
      return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    });
    if (texts.every(function (text) { return text.length <= 11; })) { return texts; }
    const figures = Math.max(0, Math.min(15, Math.ceil(Math.log10(largest / grid.step)) - 1));
    return grid.values.map(function (value) { return value.toExponential(figures); });
  }

  // Positions along the horizontal axis that get a label: round steps, from the first midnight on where there is one
  function marks(labels, room) {
    const steps = [1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 96, 144, 168, 288, 336, 672, 1008, 2016, 4032];
    const step = steps.find(function (size) { return labels.length / size <= room; }) || Math.ceil(labels.length / room);
    const midnight = labels.findIndex(function (label) { return / 00:00$/.test(label); });
    const out = [];
    for (let i = (midnight < 0 ? 0 : midnight) % step; i < labels.length; i += step) { out.push(i); }
    return out;
  }

  // Labels without the year, where all have the same
  function shortened(labels) {
    const dated = labels.every(function (label) { return /^\d{4}-\d\d-\d\d/.test(label); });
    const same = dated && labels[0].slice(0, 4) === labels[labels.length - 1].slice(0, 4);
    return same ? labels.map(function (label) { return label.slice(5); }) : labels;
  }

  // Draws lines over labels into a figure: { labels, axis, ahead, lines: [{ kind, name, start, values }], band }
  function draw(figure, content) {
    const svg = figure.querySelector("svg"), output = figure.querySelector("output");
    const width = Math.max(240, figure.clientWidth), height = Math.round(Math.min(360, Math.max(220, width * 0.45)));
    const band = content.band || { lower: [], upper: [], start: 0 };
    const all = content.lines.flatMap(function (line) { return line.values; }).concat(band.lower, band.upper);
    const known = all.filter(function (value) { return value !== null; });
    svg.replaceChildren();
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    output.textContent = "";
    if (known.length === 0) {
      add(svg, "text", { x: 10, y: 24 }, "nothing was observed or forecast here");
      svg.onpointermove = null;
      return;
    }
    let low = known.reduce(function (a, b) { return Math.min(a, b); }), high = known.reduce(function (a, b) { return Math.max(a, b); });
    const pad = (high - low || Math.abs(high) || 1) * 0.06;
    low = content.fromZero ? Math.min(0, low) : low - pad;
    high += pad;
    const grid = ticks(low, high, 5), labels = shortened(content.labels), n = labels.length;
    const texts = written(grid);
    const left = 14 + 7 * Math.max(...texts.map(function (text) { return text.length; })), right = width - 10, top = 24, bottom = height - 40;
    const x = function (i) { return n === 1 ? (left + right) / 2 : left + (right - left) * i / (n - 1); };
    const y = function (value) { return bottom - (bottom - top) * (value - low) / (high - low); };
    const at = function (i, value) { return x(i).toFixed(1) + " " + y(value).toFixed(1); };

    if (content.ahead !== undefined) {
      const begin = x(Math.max(0, content.ahead - 1));
      add(svg, "rect", { class: "ahead", x: begin, y: top, width: right - begin, height: bottom - top });
    }
    grid.values.forEach(function (value, i) {
      add(svg, "line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) });
      add(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, texts[i]);
    });
    add(svg, "text", { x: 2, y: 12 }, data.unit);
    const longest = Math.max(...labels.map(function (label) { return label.length; }));
    for (const i of marks(content.labels, Math.max(2, (right - left) / (7.5 * longest + 16)))) {
      const half = 3.6 * labels[i].length;
      const place = Math.min(Math.max(x(i), half), width - half);
      add(svg, "line", { class: "grid", x1: x(i), x2: x(i), y1: bottom, y2: bottom + 4 });
      add(svg, "text", { x: place, y: bottom + 17, "text-anchor": "middle" }, labels[i]);
    }
    add(svg, "text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, content.axis);

    const inside = band.lower.map(function (_, i) { return i; }).filter(function (i) { return band.lower[i] !== null && band.upper[i] !== null; });
    if (inside.length > 0) {
      const edge = inside.map(function (i) { return at(band.start + i, band.upper[i]); });
      const back = inside.map(function (i) { return at(band.start + i, band.lower[i]); }).reverse();
      add(svg, "path", { class: "band " + band.kind, d: "M" + edge.concat(back).join("L") + "Z" });
    }
    for (const line of content.lines.slice().reverse()) {
      let path = "", pen = false;
      line.values.forEach(function (value, i) {
        if (value === null) { pen = false; return; }
        path += (pen ? "L" : "M") + at(line.start + i, value);
        if (!pen && typeof line.values[i + 1] !== "number") {  // alone, so that no line shows it
          add(svg, "circle", { class: "dot " + line.kind, cx: x(line.start + i), cy: y(value), r: 2.5 });
        }
        pen = true;
      });
      add(svg, "path", { class: "line " + line.kind, d: path });
    }

    const cursor = add(svg, "line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" });
    svg.onpointermove = function (event) {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) * width / box.width - left) / (right - left);
      const i = Math.min(n - 1, Math.max(0, Math.round(share * (n - 1))));
      cursor.setAttribute("x1", x(i));
      cursor.setAttribute("x2", x(i));
      cursor.setAttribute("visibility", "visible");
      const words = content.lines.filter(function (line) { return i >= line.start && i < line.start + line.values.length; })
        .map(function (line) { return line.name + " " + said(line.values[i - line.start]); });
      const j = i - band.start;
      if (j >= 0 && j < band.lower.length) { words.push(data.coverage + " interval " + said(band.lower[j]) + " to " + said(band.upper[j])); }
      output.textContent = (content.prefix || "") + content.labels[i] + ": " + words.join(", ");
    };
  }

  function kind(i) { return "m" + i + (i === 0 ? " first" : ""); }

  // Observed values and forecasts of a sensor from one origin
  function series(origin, node) {
    const values = origin.series[node], begin = origin.n_history, lines = [];
    if (values.observed.length > 0) { lines.push({ kind: "observed", name: "observed", start: 0, values: values.observed }); }
    values.forecasts.forEach(function (forecast, i) {
      if (forecast !== null && !hidden.has(i)) { lines.push({ kind: kind(i), name: data.models[i], start: begin, values: forecast }); }
    });
    const band = values.band !== null && !hidden.has(0)
      ? { kind: "m0", start: begin, lower: values.band[0], upper: values.band[1] } : undefined;
    return { labels: origin.labels, axis: origin.axis, ahead: begin, lines: lines, band: band };
  }

  const sensor = byId("sensor"), from = byId("origin"), past = byId("past"), future = byId("future"), steps = byId("steps");

  function drawSensor() {
    const node = Number(sensor.value);
    draw(past, series(data.origins[from === null ? 0 : Number(from.value)], node));
    for (const marked of document.querySelectorAll(".marked")) { marked.classList.remove("marked"); }
    for (const place of document.querySelectorAll('[data-node="' + node + '"]')) {
      (place.closest("tr") || place).classList.add("marked");
    }
    if (future === null) { return; }
    draw(future, series(data.future, node));
    const values = data.future.series[node], body = byId("future-numbers").tBodies[0];
    body.replaceChildren();
    (values.forecasts[0] || []).forEach(function (value, i) {
      const row = body.insertRow(), band = values.band;
      const cells = [data.future.labels[data.future.n_history + i], said(value), band && said(band[0][i]), band && said(band[1][i])];
      for (const text of cells) { row.insertCell().textContent = text === null ? "–" : text; }
    });
  }

  function drawSteps() {
    const lines = data.steps.map(function (values, i) { return { kind: kind(i), name: data.models[i], start: 0, values: values }; });
    const labels = data.steps[0].map(function (_, i) { return String(i + 1); });
    draw(steps, { labels: labels, axis: "steps ahead", prefix: "step ", fromZero: true, lines: lines.filter(function (_, i) { return !hidden.has(i); }) });
  }

  function drawAll() { drawSteps(); drawSensor(); }

  function turn(by) {
    const n = sensor.options.length;
    sensor.selectedIndex = (sensor.selectedIndex + by + n) % n;
    drawSensor();
  }

  document.addEventListener("click", function (event) {
    const chosen = event.target.closest("[data-node]"), chip = event.target.closest(".chip");
    if (chosen !== null) {
      sensor.value = chosen.dataset.node;
      drawSensor();
    } else if (chip !== null) {
      const i = Number(chip.dataset.model);
      if (!hidden.delete(i)) { hidden.add(i); }
      for (const same of document.querySelectorAll('.chip[data-model="' + i + '"]')) { same.setAttribute("aria-pressed", String(!hidden.has(i))); }
      drawAll();
    }
  });
  sensor.addEventListener("change", drawSensor);
  if (from !== null) { from.addEventListener("change", drawSensor); }
  byId("previous").addEventListener("click", function () { turn(-1); });
  byId("next").addEventListener("click", function () { turn(1); });
  let width = 0;
  new ResizeObserver(function () {
    if (document.body.clientWidth !== width) {
      width = document.body.clientWidth;
      drawAll();
    }
  }).observe(document.body);
  drawAll();
})();
