// The paper's rule over a table of counts: what rap_plugin/selectors/rap.py does sample by sample.
// A cell holds the samples with one discrepancy D and one difficulty. Samples of a cell are taken in the order of their
// ids, so what becomes of a cell is a list of [verdict, count] in that order.

function attention(table, setting) {
  // Per cell: samples that ACE passes, flags, and has no measurement of.
  const cells = table.n.length;
  const found = { fine: table.n.slice(), biased: new Array(cells).fill(0), unknown: new Array(cells).fill(0) };
  if (!setting.ace) return found;
  if (setting.variant < 0) { found.unknown = found.fine; found.fine = new Array(cells).fill(0); return found; }
  const variant = table.variants[setting.variant], none = variant.edges.length + 1;
  found.fine.fill(0);
  for (const row of variant.counts) {
    for (let at = 1; at < row.length; at += 2) {
      const part = row[at] === none ? found.unknown : row[at] > setting.edge ? found.biased : found.fine;
      part[row[0]] += row[at + 1];
    }
  }
  return found;
}

function drmOrder(table) {
  // The hardest first, then the higher D.
  return table.n.map((_, cell) => cell)
    .sort((a, b) => table.difficulty[b] - table.difficulty[a] || table.d[b] - table.d[a]);
}

function parts(table, setting, passes, order, lambdaC) {
  const core = [], candidates = [], hard = table.n.map(() => 0), cde = [];
  let easy = 0;
  table.n.forEach((n, cell) => {
    const solved = table.difficulty[cell] < 1;
    cde[cell] = !setting.cde || table.d[cell] > lambdaC;
    core[cell] = cde[cell] && solved ? passes[cell] : 0;
    const outside = cde[cell] ? (table.confident ? 0 : n - passes[cell]) : (table.confident ? passes[cell] : n);
    const wanted = solved && table.difficulty[cell] > 0 && (!setting.positive || table.d[cell] > 0);
    candidates[cell] = wanted ? outside : 0;
    if (setting.drm && table.difficulty[cell] === 0) easy += core[cell];
  });
  let left = easy;
  for (const cell of order) {
    hard[cell] = Math.min(left, candidates[cell]);
    left -= hard[cell];
  }
  return { cde, core, hard, isEasy: (cell) => setting.drm && table.difficulty[cell] === 0 };
}

function merge(n, m, room) {
  // How many of n and of m stand in the first `room` places when both are spread evenly over one order.
  let i = 0, j = 0;
  while (i + j < room && (i < n || j < m)) {
    const one = i < n ? (2 * i + 1) * Math.max(m, 1) : Infinity;
    const other = j < m ? (2 * j + 1) * Math.max(n, 1) : Infinity;
    if (one <= other) i += 1; else j += 1;
  }
  return [i, j];
}

function decide(table, setting) {
  const cells = table.n.length, order = drmOrder(table);
  const seen = attention(table, setting);
  const passes = seen.fine.map((n, cell) => n + (setting.discard ? 0 : seen.unknown[cell]));
  const wanted = setting.keep === null ? null : Math.max(1, Math.floor(setting.keep * table.usable + 0.5));
  const steps = [setting.lambda_c];
  if (wanted !== null && setting.cde && setting.lambda_c > 0) {
    const lower = new Set([0]);
    table.d.forEach((d) => { if (d >= 0 && d < setting.lambda_c) lower.add(d); });
    steps.push(...[...lower].sort((a, b) => b - a));
  }
  const core = new Array(cells).fill(0), hard = new Array(cells).fill(0);
  let found, lambdaC, surplusHard, surplus = 0;
  for (lambdaC of steps) {
    found = parts(table, setting, passes, order, lambdaC);
    const entering = found.core.map((n, cell) => found.isEasy(cell) || !n ? 0 : n - core[cell] - hard[cell]);
    const replacing = found.hard.map((n, cell) => Math.max(0, n - hard[cell]));
    const n = sum(entering), m = sum(replacing), inside = sum(core) + sum(hard);
    const room = wanted === null ? n + m : wanted - inside;
    let [ofCore, ofHard] = room >= n + m ? [n, m] : merge(n, m, room);
    surplus = n + m - ofCore - ofHard;
    surplusHard = new Array(cells).fill(0);
    for (const cell of order) {
      const one = Math.min(ofCore, entering[cell]), other = Math.min(ofHard, replacing[cell]);
      core[cell] += one; ofCore -= one;
      hard[cell] += other; ofHard -= other;
      surplusHard[cell] = replacing[cell] - other;
    }
    if (room <= n + m) break;
  }
  // What becomes of every cell: of the samples that ACE passes, of those that it flags, of those not measured.
  const outcome = table.n.map((n, cell) => {
    const flagged = "attention_biased", unknown = setting.discard ? "unmeasured" : null;
    if (table.difficulty[cell] === 1) return { all: [["unsolved", n - table.cut[cell]], ["cut_off", table.cut[cell]]] };
    if (!found.cde[cell]) {
      const taken = [["hard_replacement", hard[cell]], ["not_chosen", surplusHard[cell]]];
      if (!table.confident) return { all: rest(taken, n, "language_prior") };
      return { pass: rest(taken, passes[cell], "language_prior"), flagged: "language_prior", unknown: "language_prior" };
    }
    const pass = found.isEasy(cell)
      ? [["easy", passes[cell]]]
      : rest([["hard_replacement", table.confident ? hard[cell] : 0], ["selected", core[cell]]], passes[cell], "not_chosen");
    if (table.confident) return { pass, flagged, unknown };
    const replaced = [["hard_replacement", hard[cell]], ["not_chosen", surplusHard[cell]]];
    return { pass, flaggedList: rest(replaced, n - passes[cell], flagged), flagged, unknown };
  });
  const counts = { ...table.fixed };
  const add = (verdict, number) => { if (number) counts[verdict] = (counts[verdict] || 0) + number; };
  outcome.forEach((what, cell) => {
    (what.all || what.pass).forEach(([verdict, number]) => add(verdict, number));
    if (what.all) return;
    if (what.flaggedList) what.flaggedList.forEach(([verdict, number]) => add(verdict, number));
    else add(what.flagged, seen.biased[cell]);
    if (setting.discard) add(what.unknown, seen.unknown[cell]);
  });
  const chosen = sum(core) + sum(hard);
  return { counts, chosen, lambdaC, surplus, wanted, outcome, seen, passes };
}

function rest(list, n, verdict) {
  return [...list, [verdict, n - list.reduce((total, [, number]) => total + number, 0)]].filter(([, number]) => number);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
