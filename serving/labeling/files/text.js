// This module puts text on the page as text. Nothing here, and nothing that uses it, reads markup.

// controls that a text is better off without being obeyed: they are shown instead
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202d\u202e\u2066-\u2069]/;
const RUNS = new RegExp(CONTROLS.source + "+", "g");
const MOST_MARKS = 2000;

function pictureOf(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) {
    return String.fromCharCode(0x2400 + code);
  }
  return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

// Returns a fragment in which control characters are visible.
export function visible(text) {
  const fragment = document.createDocumentFragment();
  const plain = text.replaceAll("\r\n", "\n");
  let from = 0;
  let marks = 0;
  for (const found of plain.matchAll(RUNS)) {
    marks += 1;
    if (marks > MOST_MARKS) {
      break;
    }
    const pictures = [...found[0]].map(pictureOf).join("");
    fragment.append(plain.slice(from, found.index));
    fragment.append(make("span", { class: "control", title: "control characters" }, pictures));
    from = found.index + found[0].length;
  }
  fragment.append(plain.slice(from).replace(RUNS, "\ufffd"));
  return fragment;
}

export function make(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) {
      made.setAttribute(key, value === true ? "" : value);
    }
  }
  made.append(...content);
  return made;
}

export function key(label) {
  return make("kbd", { "aria-hidden": "true" }, label);
}

// Shows the columns of an item: short ones as facts, long ones as something to read.
export function showFields(place, item, fields) {
  const parts = fields.map((field) => {
    const long = field.form === "text" && (field.text.length > 80 || field.text.includes("\n"));
    const value = make("dd", { class: long ? "long" : field.form, dir: "auto" });
    value.append(field.form === "none" ? "no value" : visible(field.text));
    return make("div", { class: long ? "read" : "fact" }, make("dt", {}, visible(field.name)), value);
  });
  if (!parts.length) {
    parts.push(make("p", { class: "quiet" }, "This item has nothing to show."));
  }
  const list = make("dl", { class: "fields" }, ...parts);
  const link = make("a", { class: "link", href: `?item=${item}` }, `#${item}`);
  link.setAttribute("aria-label", `Link to item ${item}`);
  place.replaceChildren(list, link);
  place.removeAttribute("aria-busy");
}
