// What if: the controls, and everything that follows them.

function start(data) {
  document.querySelectorAll(".needs-script").forEach((part) => { part.hidden = false; });
  startPayback(data.payback);
  const showGallery = startGallery(data);
  if (!data.table) return showGallery(null, null);
  const table = data.table, own = table.own, setting = { ...own };
  const $ = (id) => document.getElementById(id);
  const measured = own.variant >= 0;
  const same = () => Object.keys(own).every((name) => setting[name] === own[name]);

  function changed() {
    const outcome = decide(table, setting), moved = !same();
    document.body.classList.toggle("moved", moved);
    showControls(outcome);
    showCounts(outcome.counts, moved);
    const flow = buildFlow(data, outcome.counts, setting);
    drawFlow(document.querySelector(".picture svg"), flow);
    document.querySelector(".picture svg").setAttribute("aria-label", `From ${whole(flow.total)} samples of the pool to ${whole(outcome.chosen)} selected`);
    showSteps(flow);
    showDivisions(outcome, moved);
    showGallery(outcome, setting);
  }

  // --- the controls ---

  const lambdaC = bindPair("lambda-c", () => setting.lambda_c, (value) => { setting.lambda_c = value; }, -1, 1);
  const keep = bindPair("keep", () => setting.keep === null ? "" : setting.keep, (value) => { setting.keep = value > 0 ? value : null; }, 0, 1, true);
  const flags = { cde: "cde", ace: "ace", drm: "drm", discard: "discard", positive: "positive" };
  for (const [name, id] of Object.entries(flags)) {
    const box = $(id);
    if (box) box.addEventListener("change", () => { setting[name] = box.checked; changed(); });
  }
  const slider = $("lambda-a"), text = $("lambda-a-text"), variant = $("variant");
  if (measured) {
    slider.addEventListener("input", () => { setting.edge = nearest(Number(slider.value)); changed(); });
    slider.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (!by) return;
      event.preventDefault();
      const last = table.variants[setting.variant].edges.length - 1;
      setting.edge = Math.min(last, Math.max(0, setting.edge + by));
      changed();
    });
    text.addEventListener("change", () => {
      const typed = text.value.trim(), edges = table.variants[setting.variant].edges;
      if (typed.toLowerCase() === "auto" && edges.includes("auto")) setting.edge = edges.indexOf("auto");
      else if (Number(typed) >= 0 && typed !== "") setting.edge = nearest(position(Number(typed)));
      changed();
    });
    variant.addEventListener("change", () => {
      const before = table.variants[setting.variant], now = table.variants[Number(variant.value)];
      const label = before.edges[setting.edge], at = now.edges.indexOf(label);
      setting.variant = Number(variant.value);
      setting.edge = at >= 0 ? at : nearest(position(before.values[setting.edge]));
      changed();
    });
  }

  function bindPair(id, read, write, low, high, empty = false) {
    const range = $(id), box = $(`${id}-text`);
    if (!range) return () => {};
    range.addEventListener("input", () => { write(Number(range.value)); changed(); });
    box.addEventListener("change", () => {
      const typed = box.value.trim(), value = Number(typed.replace(",", "."));
      if (typed === "" && empty) write(0);
      else if (typed !== "" && value >= low && value <= high) write(value);
      changed();
    });
    return () => { range.value = read() === "" ? 0 : read(); box.value = read(); };
  }

  function position(value) {
    // Where a lambda_a stands on the slider: on a scale of orders of magnitude, zero just below the smallest.
    const values = table.variants[setting.variant].values, least = values.find((v) => v > 0) || 1e-9;
    return Math.log10(Math.max(value, least / 10));
  }

  function nearest(at) {
    const values = table.variants[setting.variant].values;
    let best = 0;
    values.forEach((value, i) => {
      const one = Math.abs(position(value) - at), other = Math.abs(position(values[best]) - at);
      if (one < other || (one === other && table.variants[setting.variant].edges[best] === "auto")) best = i;
    });
    return best;
  }

  function showControls(outcome) {
    lambdaC();
    keep();
    for (const [name, id] of Object.entries(flags)) if ($(id)) $(id).checked = setting[name];
    if (measured) {
      const now = table.variants[setting.variant], label = now.edges[setting.edge];
      slider.min = position(now.values[0]);
      slider.max = position(now.values[now.values.length - 1]);
      slider.value = position(now.values[setting.edge]);
      variant.value = setting.variant;
      text.value = label;
      const flagged = outcome.seen.biased.reduce((n, part) => n + part, 0);
      slider.setAttribute("aria-valuetext", `${label === "auto" ? `auto, ${brief(now.values[setting.edge])}` : label}: ${whole(flagged)} flagged`);
      $("lambda-a-says").textContent = setting.ace
        ? `${whole(flagged)} samples above${label === "auto" ? ` ${brief(now.values[setting.edge])}` : ""}` : "switched off";
      drawBars($("lambda-a-bars"), psiBars(now), (bar) => setting.ace && bar.bin > setting.edge, "attention_biased");
    }
    $("lambda-c-says").textContent = !setting.cde ? "switched off"
      : outcome.lambdaC < setting.lambda_c ? `the budget lowers it to ${brief(outcome.lambdaC)}`
        : `${whole(table.d.reduce((n, d, cell) => n + (d > setting.lambda_c ? table.n[cell] : 0), 0))} samples above`;
    $("keep-says").textContent = setting.keep === null ? "none" : `${whole(outcome.wanted)} samples${outcome.chosen < outcome.wanted ? `, only ${whole(outcome.chosen)} qualify` : ""}`;
    drawBars($("lambda-c-bars"), gainBars(), (bar) => setting.cde && bar.at <= outcome.lambdaC, "language_prior");
    $("command").textContent = command();
    $("verdict-line").textContent = `${whole(outcome.chosen)} of ${whole(table.usable + table.quarantined)} samples selected`;
    const by = outcome.chosen - data.run_chosen;
    $("change").textContent = same() ? "as decided" : by ? `${by > 0 ? "+" : "−"}${whole(Math.abs(by))} against the run` : "as many as in the run";
    $("bar-line").textContent = `What if: ${$("verdict-line").textContent} (${$("change").textContent})`;
    drawStack($("stack"), outcome.counts);
  }

  function brief(value) { return Number(value.toPrecision(3)).toString(); }

  // --- the command ---

  function command() {
    const base = data.base, parts = ["rap", "decide", quoted(runPath()), "--lambda-c", String(setting.lambda_c)];
    if (measured) {
      const now = table.variants[setting.variant], label = now.edges[setting.edge];
      if (label !== base.lambda_a) parts.push("--lambda-a", label);
      for (const name of ["reduction", "heads", "window"]) if (now[name] !== base[name]) parts.push(`--${name}`, String(now[name]));
    } else if (data.lambda_a !== base.lambda_a) parts.push("--lambda-a", data.lambda_a);
    if (setting.keep !== null) parts.push("--keep", String(setting.keep));
    else if (base.keep !== null) parts.push("--set", "selection.keep=null");
    for (const name of ["cde", "ace", "drm"]) if (setting[name] !== base[name]) parts.push("--set", `selection.${name}=${setting[name]}`);
    if (setting.discard !== base.discard) parts.push("--set", `selection.unmeasured=${setting.discard ? "discard" : "pass"}`);
    if (setting.positive !== base.positive) parts.push("--set", `selection.hard_requires_discrepancy=${setting.positive}`);
    for (const option of data.options) parts.push("--set", quoted(option));
    return parts.join(" ");
  }

  function runPath() {
    // The page tells no folders of the machine that wrote it; where it lies now, it can see.
    const path = decodeURIComponent(location.pathname);
    return location.protocol === "file:" && path.endsWith("/report.html") ? path.slice(0, -"/report.html".length) : data.run;
  }

  function quoted(word) { return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`; }

  function copy(button) {
    const done = () => {
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1600);
    };
    const fallback = () => {
      const range = document.createRange();
      range.selectNodeContents($("command"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (document.execCommand("copy")) done();
    };
    if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(command()).then(done, fallback);
    else fallback();
  }
  document.querySelectorAll("button.copy").forEach((button) => button.addEventListener("click", () => copy(button)));
  document.querySelectorAll("button.reset").forEach((button) => button.addEventListener("click", () => { Object.assign(setting, own); changed(); }));

  // --- what follows ---

  function showCounts(counts, moved) {
    document.querySelectorAll("table.verdicts tbody tr[data-verdict]").forEach((row) => {
      const verdict = row.dataset.verdict, now = counts[verdict] || 0, before = data.counts[verdict] || 0;
      row.hidden = !now && !before;
      const by = now - before;
      row.querySelector(".live").textContent = whole(now);
      row.querySelector(".by").textContent = !moved || !by ? "" : `${by > 0 ? "+" : "−"}${whole(Math.abs(by))}`;
      const part = now / Math.max(table.usable, 1);
      row.querySelector(".part").textContent = share(part);
      row.querySelector(".meter rect:last-child").setAttribute("width", now ? Math.max(1.2, 120 * part).toFixed(2) : 0);
    });
  }

  function showSteps(flow) {
    const list = $("steps");
    list.replaceChildren(...flow.heads.map((head, column) => {
      const item = document.createElement("li"), name = document.createElement("b"), gone = document.createElement("ul");
      name.textContent = `${head.step}: ${whole(head.count)}`;
      const small = document.createElement("span");
      small.className = "quiet";
      small.textContent = ` ${share(head.share)}, ${head.question}`;
      for (const node of flow.nodes.filter((one) => one.column === column && one.ends)) {
        const leaving = document.createElement("li"), dot = make("svg", { class: "dot", viewBox: "0 0 11 11", "aria-hidden": "true" });
        dot.append(make("rect", { class: `k-${node.kind}`, width: 11, height: 11, rx: 3 }));
        if (node.kind !== "quarantine") leaving.dataset.showVerdict = node.key;
        leaving.append(dot, `${node.title}: ${whole(node.count)} leave`);
        gone.append(leaving);
      }
      const meter = make("svg", { class: "wide", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
      meter.append(make("rect", { class: "track", width: 100, height: 6 }), make("rect", { class: column === flow.heads.length - 1 ? "k-selected" : "k-stem", width: (100 * head.share).toFixed(2), height: 6 }));
      item.append(name, small, meter);
      if (gone.childNodes.length) item.append(gone);
      return item;
    }));
  }

  function showDivisions(outcome, moved) {
    // Counted for the run's own setting, estimated for others: of a cell that is taken in part, each part in proportion.
    const taken = outcome.outcome.map((what, cell) => {
      const chosen = (what.all || what.pass).concat(what.flaggedList || []).filter(([word]) => data.chosen.includes(word));
      return chosen.reduce((n, [, number]) => n + number, 0) / Math.max(table.n[cell], 1);
    });
    data.divisions.forEach((division, number) => {
      const rows = document.querySelectorAll(`[data-division="${number}"] tbody tr`);
      division.parts.forEach((part, i) => {
        let after = part.after;
        if (moved) {
          after = 0;
          for (let at = 0; at < part.cells.length; at += 2) after += part.cells[at + 1] * taken[part.cells[at]];
        }
        const before = part.before / Math.max(table.usable, 1), now = after / Math.max(outcome.chosen, 1), row = rows[i];
        row.querySelector(".after-count").textContent = `${moved ? "≈ " : ""}${whole(after)}`;
        row.querySelector(".after-share").textContent = share(now);
        row.querySelector(".meter .now").setAttribute("width", (120 * now).toFixed(2));
        const by = 100 * (now - before);
        row.querySelector(".points").textContent = Math.abs(by) < 0.05 ? "0" : `${by > 0 ? "+" : "−"}${Math.abs(by).toFixed(1)}`;
      });
    });
  }

  function gainBars() { return table.d.map((d, cell) => ({ at: d, n: table.n[cell] })); }

  function psiBars(now) {
    const counts = new Array(now.edges.length + 1).fill(0), last = now.edges.length;
    for (const row of now.counts) for (let at = 1; at < row.length; at += 2) if (row[at] <= last) counts[row[at]] += row[at + 1];
    const where = now.values.map(position), low = where[0], high = where[where.length - 1], wide = Math.max(high - low, 1e-9);
    const columns = new Map();
    counts.forEach((n, bin) => {
      const middle = bin === 0 ? low : bin === last ? high : (where[bin - 1] + where[bin]) / 2;
      const column = Math.min(39, Math.floor(40 * (middle - low) / wide));
      const key = `${column} ${bin > setting.edge}`, entry = columns.get(key) || { at: -1 + (column + 0.5) / 20, n: 0, bin };
      entry.n += n;
      columns.set(key, entry);
    });
    return [...columns.values()];
  }

  function drawBars(svg, bars, out, kind) {
    // x from -1 to 1 over 200 units; what is out stands on what is in.
    const columns = new Map();
    for (const bar of bars) {
      const at = Math.round(bar.at * 100) / 100, column = columns.get(at) || [0, 0];
      column[out(bar) ? 1 : 0] += bar.n;
      columns.set(at, column);
    }
    const most = Math.max(1, ...[...columns.values()].map(([a, b]) => a + b));
    svg.replaceChildren(...[...columns].flatMap(([at, [stay, go]]) => {
      const x = 100 + 97 * at - 2, high = 30 * stay / most, more = 30 * go / most;
      return [
        make("rect", { class: "k-selected", x: x.toFixed(1), width: 4, y: (32 - high).toFixed(2), height: high.toFixed(2) }),
        make("rect", { class: `k-${kind}`, x: x.toFixed(1), width: 4, y: (32 - high - more).toFixed(2), height: more.toFixed(2) }),
      ];
    }));
  }

  function drawStack(svg, counts) {
    let x = 0;
    svg.replaceChildren(...data.order.filter((word) => counts[word]).map((word) => {
      const width = 1000 * counts[word] / Math.max(table.usable, 1), found = make("rect", { "data-show-verdict": word, class: `k-${data.words[word].kind}`, x: x.toFixed(2), width: Math.max(0, width - 1.5).toFixed(2), height: 26 });
      found.append(make("title", {}, `${data.words[word].title}: ${whole(counts[word])}`));
      x += width;
      return found;
    }));
  }

  changed();
}

start(JSON.parse(document.getElementById("rap-data").textContent));
