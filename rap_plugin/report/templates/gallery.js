// The samples: by verdict, part, text; the nearest to a threshold first; page by page. The page works without this,
// too: then all of them are shown, one below the other.

function startGallery(data) {
  const PAGE = 12, $ = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll("article.sample")].map((card, place) => ({
    card, place, own: card.dataset.verdict, cell: Number(card.dataset.cell), rank: Number(card.dataset.rank),
    cut: card.dataset.cut === "1", bins: card.dataset.bins ? card.dataset.bins.split(" ").map(Number) : [],
    codes: card.dataset.codes.split(" ").map(Number), text: null, verdict: card.dataset.verdict, words: [card.dataset.verdict],
  }));
  const verdict = $("show-verdict"), order = $("show-order"), search = $("show-text"), part = $("show-part");
  let page = 0, last = null;

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
      if (verdict.value === "changed" ? one.words.length === 1 && one.words[0] === one.own : verdict.value && !one.words.includes(verdict.value)) return false;
      if (division >= 0 && one.codes[division] !== code) return false;
      if (!wanted) return true;
      if (one.text === null) one.text = one.card.textContent.toLowerCase();
      return one.text.includes(wanted);
    });
    found.sort((a, b) => distance(a, setting) - distance(b, setting) || a.place - b.place);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    const visible = new Set(shown);
    cards.forEach((one) => { one.card.hidden = !visible.has(one); });
    $("gallery").append(...shown.map((one) => one.card));
    $("show-says").textContent = found.length
      ? `${page * PAGE + 1} to ${page * PAGE + shown.length} of ${whole(found.length)} samples on this page that fit`
      : "No sample on this page fits; the page shows a part of the pool.";
    $("page-before").disabled = page === 0;
    $("page-after").disabled = page >= pages - 1;
  }

  function badge(one) {
    const label = one.card.querySelector(".becomes"), title = (word) => data.words[word].title;
    const changed = one.words.length > 1 || one.words[0] !== one.own;
    label.textContent = !changed ? "" : `→ ${one.words.map(title).join(" or ")}`;
    one.card.classList.toggle("changes", changed);
  }

  [verdict, order, part].forEach((control) => control.addEventListener("change", () => show()));
  search.addEventListener("input", () => show());
  $("page-before").addEventListener("click", () => { page -= 1; show(false); });
  $("page-after").addEventListener("click", () => { page += 1; show(false); });
  document.querySelectorAll("[data-show-verdict]").forEach((link) => link.addEventListener("click", () => {
    verdict.value = link.dataset.showVerdict;
    part.value = "";
    show();
  }));
  document.querySelectorAll("[data-show-part]").forEach((link) => link.addEventListener("click", () => {
    part.value = link.dataset.showPart;
    verdict.value = "";
    show();
  }));

  return (outcome, setting) => {
    last = setting;
    if (outcome) cards.forEach((one) => { one.words = becomes(one, outcome, setting); badge(one); });
    show(false);
  };
}
