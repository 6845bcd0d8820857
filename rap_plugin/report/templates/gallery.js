// The samples: by verdict, part, score, text; the nearest to a threshold first; page by page. What stands for samples
// elsewhere on the page (a bar, a cell, a row, a part of the flow) shows them here when it is clicked. The page works
// without this, too: then all of them are shown, one below the other.

function startGallery(data) {
  const PAGE = 12, $ = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll("article.sample")].map((card, place) => ({
    card, place, own: card.dataset.verdict, cell: Number(card.dataset.cell), rank: Number(card.dataset.rank),
    cut: card.dataset.cut === "1", bins: card.dataset.bins ? card.dataset.bins.split(" ").map(Number) : [],
    codes: card.dataset.codes.split(" ").map(Number), scores: scoresOf(card.dataset.scores, card.dataset.verdict), text: null, words: [card.dataset.verdict],
    under: [...(card.dataset.under || "")].map((digit) => [data.order[parseInt(digit, 36)]]),
  }));
  const verdict = $("show-verdict"), order = $("show-order"), search = $("show-text"), part = $("show-part");
  const under = $("show-under"), score = $("show-score"), from = $("show-from"), to = $("show-to"), clear = $("show-clear");
  let page = 0, last = null, ranges = [];

  function scoresOf(text, own) {
    const names = ["discrepancy", "difficulty", "psi", "image", "blind", "chance"];
    const found = Object.fromEntries(text.split(" ").map((value, i) => [names[i], value === "-" ? NaN : Number(value)]));
    return { ...found, against: data.chosen.includes(own) ? 1 - found.chance : found.chance };
  }

  function wordsOf(one) {
    // The verdicts that a sample may have: under the setting that is asked for, else under the thresholds above.
    return under && under.value !== "" ? one.under[Number(under.value)] : one.words;
  }

  function has(one, wanted) {
    const words = wordsOf(one), chosen = (word) => data.chosen.includes(word);
    if (wanted === "changed") return words.length > 1 || words[0] !== one.own;
    if (wanted === "chosen") return words.some(chosen);
    if (wanted === "out") return !words.every(chosen);
    return !wanted || words.includes(wanted);
  }

  function becomes(one, outcome, setting) {
    if (one.cell < 0) return [one.own];
    const table = data.table, what = outcome.outcome[one.cell], n = table.n[one.cell];
    if (table.difficulty[one.cell] === 1) return [one.cut ? "cut_off" : "unsolved"];
    if (what.all) return inList(what.all, one.rank, one.rank);
    const none = setting.variant >= 0 ? table.variants[setting.variant].edges.length + 1 : 0;
    const bin = setting.variant >= 0 ? one.bins[setting.variant] : none;
    const unknown = setting.ace && bin === none, flagged = setting.ace && !unknown && bin > setting.edge;
    const passes = outcome.passes[one.cell], others = n - passes;
    if (flagged) return what.flaggedList ? inList(what.flaggedList, one.rank - passes, one.rank) : [what.flagged];
    if (unknown && setting.discard) return [what.unknown];
    // Taken in the order of ids: of the samples before this one, all or none may be such that ACE stops.
    return inList(what.pass, one.rank - others, one.rank);
  }

  function inList(list, low, high) {
    const words = new Set();
    let before = 0;
    for (const [word, number] of list) {
      if (number && before <= Math.max(0, high) && before + number > Math.max(0, low)) words.add(word);
      before += number;
    }
    return [...words];
  }

  function distance(one, setting) {
    if (order.value === "chance") return Number.isNaN(one.scores.chance) ? Infinity : Math.abs(one.scores.chance - 0.5);
    if (one.cell < 0) return Infinity;
    if (order.value === "gain") return Math.abs(data.table.d[one.cell] - setting.lambda_c);
    if (order.value === "psi" && setting.variant >= 0) {
      const none = data.table.variants[setting.variant].edges.length + 1, bin = one.bins[setting.variant];
      return bin === none ? Infinity : Math.abs(bin - setting.edge - 0.5);
    }
    return one.place;
  }

  function show(reset = true) {
    const setting = last;
    if (reset) page = 0;
    const wanted = search.value.trim().toLowerCase(), [division, code] = part.value ? part.value.split(" ").map(Number) : [-1, -1];
    const found = cards.filter((one) => {
      if (!has(one, verdict.value)) return false;
      if (division >= 0 && one.codes[division] !== code) return false;
      if (!ranges.every(([name, low, high]) => one.scores[name] >= low - 1e-6 && one.scores[name] <= high + 1e-6)) return false;
      if (!wanted) return true;
      if (one.text === null) one.text = one.card.textContent.toLowerCase();
      return one.text.includes(wanted);
    });
    found.sort((a, b) => distance(a, setting) - distance(b, setting) || a.place - b.place);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    const visible = new Set(shown);
    cards.forEach((one) => { one.card.hidden = !visible.has(one); badge(one); });
    $("gallery").append(...shown.map((one) => one.card));
    $("show-says").textContent = found.length
      ? `${page * PAGE + 1} to ${page * PAGE + shown.length} of ${whole(found.length)} samples on this page that fit`
      : "No sample on this page fits; the page shows a part of the pool.";
    $("page-before").disabled = page === 0;
    $("page-after").disabled = page >= pages - 1;
  }

  function badge(one) {
    const label = one.card.querySelector(".becomes"), title = (word) => data.words[word].title;
    const changed = has(one, "changed");
    label.textContent = !changed ? "" : `→ ${wordsOf(one).map(title).join(" or ")}`;
    one.card.classList.toggle("changes", changed);
  }

  function showRanges() {
    const title = (name) => [...score.options].find((option) => option.value === name)?.text ?? name;
    const bound = (value) => Math.abs(value) > 1e9 ? (value < 0 ? "the least" : "the most") : String(Number(value.toPrecision(3)));
    clear.hidden = !ranges.length;
    clear.textContent = `${ranges.map(([name, low, high]) => `${title(name)} ${bound(low)} to ${bound(high)}`).join(", ")} ×`;
    clear.setAttribute("aria-label", `Any score again, now ${clear.textContent.slice(0, -2)}`);
  }

  function typed() {
    const number = (box, other) => box.value.trim() === "" ? other : Number(box.value.trim().replace(",", ".").replace("−", "-"));
    const low = number(from, -9e9), high = number(to, 9e9);
    ranges = score.value && !Number.isNaN(low) && !Number.isNaN(high) ? [[score.value, low, high]] : [];
    showRanges();
    show();
  }

  function choose(wanted) {
    verdict.value = wanted.verdict || "";
    if (verdict.selectedIndex < 0) verdict.value = "";
    part.value = wanted.part || "";
    if (under) under.value = wanted.under || "";
    ranges = wanted.ranges || [];
    if (wanted.order !== undefined) order.value = wanted.order;
    const alone = ranges.length === 1 ? ranges[0] : ["", "", ""], plain = (value) => Math.abs(value) > 1e9 ? "" : value;
    [score.value, from.value, to.value] = [alone[0], plain(alone[1]), plain(alone[2])];
    search.value = "";
    showRanges();
    show();
  }

  [verdict, order, part, under].filter(Boolean).forEach((control) => control.addEventListener("change", () => show()));
  [score, from, to].forEach((control) => control.addEventListener("change", typed));
  clear.addEventListener("click", () => choose({ verdict: verdict.value, part: part.value, under: under?.value }));
  search.addEventListener("input", () => show());
  $("page-before").addEventListener("click", () => { page -= 1; show(false); });
  $("page-after").addEventListener("click", () => { page += 1; show(false); });
  // Links, marks of charts and of the flow, which is drawn anew: one listener for all. For marks, keys have the controls
  // above instead.
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("[data-shows], [data-show-verdict], [data-show-part], [data-show-order]");
    if (!mark) return;
    const { shows, showVerdict, showPart, showOrder } = mark.dataset, found = stands(shows || "");
    choose({ ...found, verdict: showVerdict || found.verdict, part: showPart, order: showOrder });
    if (mark.tagName !== "A") $("samples").scrollIntoView();
  });

  function stands(shows) {
    // `VERDICT SCORE LOW HIGH ..`, `-` for any verdict; `under K K`: by setting K.
    const [word, ...rest] = shows.split(" "), found = { verdict: word === "-" ? "" : word, ranges: [] };
    for (let at = 0; at < rest.length; at += 3) {
      if (rest[at] === "under") found.under = rest[at + 1];
      else found.ranges.push([rest[at], Number(rest[at + 1]), Number(rest[at + 2])]);
    }
    return found;
  }

  return (outcome, setting) => {
    last = setting;
    if (outcome) cards.forEach((one) => { one.words = becomes(one, outcome, setting); });
    show(false);
  };
}
