// Nodes from names and text. Names come from devices and files and are never trusted, so nothing here is markup.

export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function mark(kind, text, hint) {
  return el("span", { class: `mark ${kind}`, title: hint }, text);
}

export function bar(share, kind, label) {
  const fill = el("span");
  fill.style.width = `${Math.min(Math.max(share * 100, 1), 100)}%`;
  return el("div", { class: `bar ${kind}`, role: "img", "aria-label": label }, fill);
}

// A row of choices of which one holds; `id` keeps the focus when the page is drawn again.
export function choices(id, entries, chosen, choose, label) {
  return el("div", { class: "choices", role: "group", "aria-label": label }, entries.map(([value, text]) =>
    el("button", { id: `${id}-${value}`, type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text)));
}

export function table(heads, rows) {
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col" }, text)));
  return el("div", { class: "sheet" }, el("table", { class: "stack" }, el("thead", {}, head), el("tbody", {}, rows)));
}

export function cell(label, ...children) {
  return el("td", { "data-label": label }, el("span", {}, ...children));
}
