document.documentElement.classList.add("js");
for (const table of document.querySelectorAll(".table table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 6) continue;
  const value = (row, index) => {
    const text = row.cells[index].textContent.trim();
    const number = parseFloat(text.replace("−", "-").replace(/^[<>]/, "").replace(/[,%]/g, "")) * (/million/.test(text) ? 1e6 : 1);
    return Number.isNaN(number) || /^\d{4}\/\d{2}$/.test(text) ? text : number;
  };
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a, index), y = value(b, index);
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en-GB");
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
}
const search = document.querySelector("#search");
if (search) {
  const items = [...document.querySelectorAll("[data-find]")];
  const count = document.querySelector("#found");
  const kinds = [...document.querySelectorAll("input[name=kind]")];
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = kinds.find((input) => input.checked)?.value ?? "";
    let found = 0;
    for (const item of items) {
      item.hidden = !words.every((word) => item.dataset.find.includes(word)) || (kind && item.dataset.kind !== kind);
      found += !item.hidden;
    }
    count.textContent = `${found} of ${items.length} areas`;
  };
  for (const input of [search, ...kinds]) input.addEventListener("input", show);
  show();
}
