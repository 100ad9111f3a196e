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
const menus = [...document.querySelectorAll("header details details")];
const close = (except) => menus.forEach((menu) => { if (menu !== except) menu.open = false; });
document.addEventListener("click", (event) => close(event.target.closest("header details details")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  menus.find((menu) => menu.open)?.querySelector("summary").focus();
  close();
});
for (const place of document.querySelectorAll(".cite p")) {
  const address = place.querySelector(".address");
  if (address && location.protocol.startsWith("http") && !address.textContent.startsWith("http"))
    address.textContent = location.href.split("#")[0] + "#" + address.textContent.split("#")[1];
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(place);
    navigator.clipboard?.writeText(place.textContent).then(() => { button.textContent = "Copied"; }, () => {});
  });
  place.after(button);
}
for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
const search = document.querySelector("#search");
if (search) {
  const items = [...document.querySelectorAll("[data-find]")];
  const [region, measure] = ["#region", "#measure"].map((name) => document.querySelector(name));
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of items) {
      const data = item.dataset;
      item.hidden = !words.every((word) => data.find.includes(word)) || (region.value !== "" && data.region !== region.value);
      found += !item.hidden;
    }
    for (const cell of document.querySelectorAll("[data-measure]"))
      cell.hidden = measure.value !== "" && cell.dataset.measure !== measure.value;
    document.querySelector("#found").textContent = `${found} of ${items.length} areas`;
  };
  for (const input of [search, region, measure]) input.addEventListener("input", show);
  show();
}
const compare = document.querySelector("#compare");
if (compare) {
  const table = document.querySelector("table.areas"), years = table.dataset.years.split(",");
  const drawing = document.querySelector("#chosen svg"), shown = document.querySelector("#chosen table");
  const areas = [...compare.elements.area], measure = compare.elements.measure;
  const element = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const draw = () => {
    const lines = [...new Set(areas.map((input) => input.value).filter(Boolean))].map((code) => {
      const row = table.querySelector(`[data-code="${code}"]`);
      const cell = row.querySelector(`td[data-measure="${measure.value}"]`);
      return { name: row.cells[0].textContent, values: cell.dataset.series.split(",").map((text) => text === "" ? null : Number(text)) };
    });
    const held = lines.flatMap((line) => line.values).filter((value) => value !== null);
    const high = Math.max(...held, 0), low = Math.min(...held, high), rough = Math.max(high - low, high / 5, 1) / 3;
    const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const start = Math.floor(low / step) * step, end = Math.ceil(high / step) * step || step;
    const digits = high >= 1000 ? 0 : 1;
    const mark = measure.value.endsWith("_rate") ? "%" : "";
    const write = (value) => value === null ? "–" : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }) + mark;
    const wide = drawing.clientWidth, each = (wide - 104) / Math.max(1, years.length - 1);
    const x = (index) => 64 + index * each, y = (value) => 310 - (value - start) / (end - start) * 280;
    const label = measure.selectedOptions[0].textContent, title = `${label}, ${lines.map((line) => line.name).join("; ")}`;
    drawing.setAttribute("aria-label", `Line chart: ${title}; the table below has the values`);
    drawing.replaceChildren();
    for (let value = start; value <= end + step / 2; value += step)
      drawing.append(element("line", { class: "grid", x1: 64, x2: wide - 40, y1: y(value), y2: y(value) }), element("text", { x: 56, y: y(value) + 5, "text-anchor": "end" }, write(value)));
    years.forEach((year, index) => (years.length - 1 - index) % Math.ceil(70 / each) || drawing.append(element("text", { x: x(index), y: 338, "text-anchor": "middle" }, year)));
    lines.forEach((line, number) => {
      let path = "", before = null;
      line.values.forEach((value, index) => {
        if (value !== null) path += `${before === null ? "M" : "L"}${x(index)},${y(value)}`;
        before = value;
      });
      drawing.append(element("path", { class: `line${number}`, d: path }));
      line.values.forEach((value, index) => {
        if (value === null) return;
        const dot = element("circle", { class: `line${number}`, cx: x(index), cy: y(value), r: 5 });
        dot.append(element("title", {}, `${line.name} ${years[index]}: ${write(value)}`));
        drawing.append(dot);
      });
    });
    const row = (tag, texts, number) => {
      const made = document.createElement("tr");
      texts.forEach((text, index) => {
        const cell = document.createElement(tag);
        if (tag === "th") cell.scope = "col";
        if (index > 0) cell.className = "number";
        if (index === 0 && number !== undefined) { const key = document.createElement("span"); key.className = `key line${number}`; cell.append(key); }
        cell.append(text);
        made.append(cell);
      });
      return made;
    };
    shown.caption.firstChild.textContent = label;
    shown.tHead.replaceChildren(row("th", ["Area", ...years]));
    shown.tBodies[0].replaceChildren(...lines.map((line, number) => row("td", [line.name, ...line.values.map(write)], number)));
  };
  const read = () => {
    const [chosen, codes] = decodeURIComponent(location.hash.slice(1)).split(":");
    if ([...measure.options].some((option) => option.value === chosen)) measure.value = chosen;
    const given = (codes ?? "").split(",").filter((code) => table.querySelector(`[data-code="${CSS.escape(code)}"]`));
    const usual = [...table.querySelectorAll("[data-kind]")].slice(0, 2).map((line) => line.dataset.code);
    areas.forEach((input, index) => { input.value = (given.length ? given : usual)[index] ?? (index < 2 ? usual[index] : ""); });
    draw();
  };
  compare.addEventListener("input", () => {
    const codes = areas.map((input) => input.value).filter(Boolean).join(",");
    history.replaceState(null, "", `#${measure.value}:${codes}`);
    draw();
  });
  addEventListener("hashchange", read);
  addEventListener("resize", draw);
  read();
}
