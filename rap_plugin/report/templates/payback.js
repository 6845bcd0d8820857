// When the selection has paid for itself, for the training that the reader names: what rap_plugin/posterior/pilot.py does.

function startPayback(payback) {
  if (!payback) return;
  const $ = (id) => document.getElementById(id), rows = [...document.querySelectorAll("#pay-table tbody tr")];
  const boxes = [$("pay-group"), $("pay-prompts"), $("pay-learning")];

  function follow() {
    const group = Number(boxes[0].value), prompts = Math.round(Number(boxes[1].value)), learning = Number(boxes[2].value.replace(",", "."));
    const valid = prompts >= 1 && learning >= 0;
    boxes[1].setAttribute("aria-invalid", !(prompts >= 1));
    boxes[2].setAttribute("aria-invalid", !(learning >= 0));
    if (!valid) return;
    const [pool, selected] = payback.informative[group];
    $("pay-pool").textContent = share(pool);
    $("pay-selected").textContent = share(selected);
    rows.forEach((row, number) => {
      const cells = row.querySelectorAll("td.n");
      if (!(pool > 0 && selected > pool)) return ["never", "·", "·"].forEach((text, i) => { cells[i].textContent = text; });
      const saved = group * (1 / pool - 1 / selected) * (number === 1 ? 1 : 1 + learning);
      const steps = payback.spent / saved / pool / prompts, epochs = steps * prompts * pool / selected / payback.rows;
      cells[0].textContent = `${whole(Math.ceil(steps))} steps`;
      cells[1].textContent = whole(Math.ceil(steps) * prompts * group);
      cells[2].textContent = `${epochs.toFixed(1)}${epochs > payback.used_up ? " (used up)" : ""}`;
    });
  }

  boxes.forEach((box) => box.addEventListener("input", follow));
  follow();
}
