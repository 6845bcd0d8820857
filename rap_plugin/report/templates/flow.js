// The flow from pool to selection, laid out as rap_plugin/report/flow.py does, for counts that the reader has moved.

const FLOW = { width: 1120, left: 4, right: 150, top: 74, drawn: 300, bar: 9, thin: 2, gap: 16, label: 34, lane: 20 };

function buildFlow(data, counts, setting) {
  const has = (word) => counts[word] || 0, chosenWords = data.chosen;
  const usable = data.table.usable, quarantined = data.table.quarantined, total = usable + quarantined;
  const measured = data.table.variants.length > 0;
  const stages = [
    [["CDE", "does the image matter?"], ["language_prior", "unsolved", "cut_off", "too_few_graded", "text_only"], setting.cde],
    [["ACE", "is attention sound?"], ["attention_biased", "unmeasured"], setting.ace && (has("attention_biased") > 0 || measured)],
    [["DRM", "is there more to learn?"], ["easy", "not_chosen"], setting.drm],
  ].filter(([, words, on]) => on || words.some(has));
  const chosen = chosenWords.reduce((n, word) => n + has(word), 0), replaced = has("hard_replacement");
  const steps = [["Pool", "every row"], ["Usable", "readable and gradable"]];
  const nodes = [], links = [];
  const node = (key, count, column, kind, more) => nodes.push({ key, count, column, kind, title: "", ends: false, hidden: false, ...more });
  const link = (source, target, count) => links.push({ source, target, count });
  node("pool", total, 0, "stem");
  node("usable", usable, 1, "stem");
  link("pool", "usable", usable);
  if (quarantined) {
    node("quarantine", quarantined, 1, "quarantine", { title: "Quarantine", ends: true });
    link("pool", "quarantine", quarantined);
  }
  let stem = "usable", lane = "usable", left = usable - replaced;
  stages.forEach(([step, words], at) => {
    const column = steps.length;
    steps.push(step);
    const gone = words.filter(has);
    left -= gone.reduce((n, word) => n + has(word), 0);
    node(`stem${column}`, left, column, "stem");
    link(stem, `stem${column}`, left);
    gone.forEach((word) => {
      node(word, has(word), column, data.words[word].kind, { title: data.words[word].title, ends: true });
      link(stem, word, has(word));
    });
    if (replaced) {
      node(`lane${column}`, replaced, column, "hard_replacement", { hidden: at > 0 });
      link(lane, `lane${column}`, replaced);
      lane = `lane${column}`;
    }
    stem = `stem${column}`;
  });
  steps.push(["Selection", "what to train on"]);
  node("selection", chosen, steps.length - 1, "selected");
  link(stem, "selection", left);
  if (replaced) link(lane, "selection", replaced);
  const drawn = links.filter((one) => one.count);
  const touched = new Set(["pool", "selection", ...drawn.flatMap((one) => [one.source, one.target])]);
  return layFlow({ nodes: nodes.filter((one) => touched.has(one.key)), links: drawn, steps, total });
}

function layFlow(flow) {
  const scale = FLOW.drawn / Math.max(flow.total, 1), isLane = (node) => node.key.startsWith("lane");
  const thickness = (link) => Math.max(FLOW.thin, link.count * scale);
  const x = (column) => FLOW.left + column * (FLOW.width - FLOW.left - FLOW.right - FLOW.bar) / Math.max(flow.steps.length - 1, 1);
  const total = (links) => links.reduce((n, link) => n + thickness(link), 0);
  for (const node of flow.nodes) {
    node.height = Math.max(FLOW.thin, total(flow.links.filter((l) => l.target === node.key)), total(flow.links.filter((l) => l.source === node.key)));
    node.x = x(node.column);
  }
  let bottom = FLOW.top;
  flow.steps.forEach((_, column) => {
    let y = FLOW.top;
    for (const node of flow.nodes) {
      if (node.column !== column || isLane(node) || node.key === "quarantine") continue;
      node.y = y;
      y += (node.ends ? Math.max(node.height, FLOW.label) : node.height) + FLOW.gap;
    }
    if (column >= 2) bottom = Math.max(bottom, y - FLOW.gap);
  });
  const lanes = flow.nodes.filter(isLane);
  lanes.forEach((node) => { node.y = bottom + FLOW.gap; });
  if (lanes.length) bottom += FLOW.gap + Math.max(...lanes.map((node) => node.height)) + FLOW.lane;
  const aside = flow.nodes.find((node) => node.key === "quarantine");
  if (aside) {
    const beside = FLOW.top + Math.max(...flow.nodes.filter((node) => node.column === aside.column).map((node) => node.height));
    aside.y = Math.max(bottom, beside) + FLOW.gap;
    bottom = aside.y + Math.max(aside.height, FLOW.label);
  }
  flow.height = Math.max(bottom, FLOW.top + Math.max(...flow.nodes.map((node) => node.height))) + 8;
  const byKey = Object.fromEntries(flow.nodes.map((node) => [node.key, node]));
  const from = Object.fromEntries(flow.nodes.map((node) => [node.key, node.y])), to = { ...from };
  flow.ribbons = flow.links.map((link) => {
    const source = byKey[link.source], target = byKey[link.target], size = thickness(link);
    const y1 = from[source.key], y2 = to[target.key];
    from[source.key] += size;
    to[target.key] += size;
    const x1 = source.x + (source.hidden ? 0 : FLOW.bar), x2 = target.x, middle = (x1 + x2) / 2, f = (n) => n.toFixed(1);
    const path = `M${f(x1)},${f(y1)}C${f(middle)},${f(y1)} ${f(middle)},${f(y2)} ${f(x2)},${f(y2)}`
      + `V${f(y2 + size)}C${f(middle)},${f(y2 + size)} ${f(middle)},${f(y1 + size)} ${f(x1)},${f(y1 + size)}Z`;
    return { path, from: source.kind, to: target.kind };
  });
  flow.heads = flow.steps.map(([step, question], column) => {
    const here = flow.nodes.filter((node) => node.column === column);
    const count = here.filter((node) => isLane(node) || (!node.ends && (node.kind === "stem" || node.kind === "selected")))
      .reduce((n, node) => n + node.count, 0);
    return { x: x(column), step, question, count, share: count / Math.max(flow.total, 1) };
  });
  return flow;
}

function drawFlow(svg, flow) {
  const parts = [], fixed = (n) => n.toFixed(1);
  const defs = make("defs"), seen = new Set();
  for (const ribbon of flow.ribbons) {
    const id = `from-${ribbon.from}-to-${ribbon.to}`;
    if (!seen.has(id)) {
      seen.add(id);
      const gradient = make("linearGradient", { id });
      gradient.append(make("stop", { class: `k-${ribbon.from}`, offset: 0.1 }), make("stop", { class: `k-${ribbon.to}`, offset: 0.9 }));
      defs.append(gradient);
    }
    parts.push(make("path", { class: "ribbon", d: ribbon.path, fill: `url(#${id})` }));
  }
  for (const node of flow.nodes.filter((one) => !one.hidden)) {
    const shows = node.ends && node.kind !== "quarantine" ? { "data-shows": node.key } : {};
    parts.push(make("rect", { ...(node.key === "selection" ? { "data-shows": "chosen" } : shows), class: `bar k-${node.kind}`, x: fixed(node.x), y: fixed(node.y), width: FLOW.bar, height: fixed(node.height), rx: 2 }));
    if (node.ends) {
      const middle = node.y + Math.max(node.height, 28) / 2;
      parts.push(make("text", { ...shows, x: fixed(node.x + 18), y: fixed(middle - 3) }, node.title));
      parts.push(make("text", { class: "few", x: fixed(node.x + 18), y: fixed(middle + 12) }, `${whole(node.count)} · ${share(node.count / flow.total)}`));
    } else if (node.key === `lane${node.column}`) {
      parts.push(make("text", { class: "few", x: fixed(node.x + 18), y: fixed(node.y + node.height + 15) }, `${whole(node.count)} hard but solvable, to replace easy ones`));
    }
  }
  for (const head of flow.heads) {
    parts.push(make("text", { class: "step", x: fixed(head.x), y: 14 }, head.step));
    parts.push(make("text", { class: "question", x: fixed(head.x), y: 30 }, head.question));
    const big = make("text", { class: "big", x: fixed(head.x), y: 57 }, whole(head.count));
    big.append(make("tspan", { class: "few", dx: 6 }, share(head.share)));
    parts.push(big);
  }
  svg.setAttribute("viewBox", `0 0 ${FLOW.width} ${flow.height.toFixed(0)}`);
  svg.replaceChildren(defs, ...parts);
}

function make(tag, attributes = {}, text) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  if (text !== undefined) found.textContent = text;
  return found;
}

function whole(n) { return Math.round(n).toLocaleString("en-US"); }

function share(value) {
  if (value > 0 && value < 0.0005) return "< 0.1 %";
  if (value > 0.9995 && value < 1) return "> 99.9 %";
  return `${(100 * value).toFixed(1)} %`;
}
