// This module asks for an answer: one choice, several, a number, or an order; by keys and by clicks.
// Each kind has `prefill(answer, whose)`, `key(event)` that says whether it took the key, and calls
// `submit(answer, words)`.

import { key, make, visible } from "./text.js";

const WHOSE = { suggested: "suggested", vote: "your answer" };

function named(choice) {
  return make("bdi", {}, visible(choice.name));
}

function choiceFor(choices, event) {
  return event.key.length === 1
    ? choices.find((choice) => choice.key && choice.key === event.key.toLowerCase())
    : undefined;
}

function choiceButton(choice, attributes = {}) {
  const shortcut = choice.key ? { "aria-keyshortcuts": choice.key } : {};
  const button = make("button", { type: "button", class: "choice", ...shortcut, ...attributes });
  if (choice.key) {
    button.append(key(choice.key));
  }
  button.append(named(choice));
  return button;
}

function submitButton(words) {
  return make("button", { type: "button", class: "main submit", "aria-keyshortcuts": "Enter" }, words, " ", key("Enter"));
}

class Single {
  constructor(setup, place, submit) {
    Object.assign(this, { choices: setup.choices, place, submit });
  }

  prefill(answer, whose) {
    this.answer = answer;
    const buttons = this.choices.map((choice) => {
      const button = choiceButton(choice);
      button.addEventListener("click", () => this.submit(choice.name, choice.name));
      if (choice.name === answer) {
        button.classList.add("chosen");
        button.append(make("span", { class: "whose" }, WHOSE[whose], " ", key("Enter")));
      }
      return button;
    });
    this.place.replaceChildren(make("div", { class: "choices" }, ...buttons));
  }

  key(event) {
    const choice = choiceFor(this.choices, event);
    if (choice) {
      this.submit(choice.name, choice.name);
    } else if (event.key === "Enter" && this.answer !== null) {
      this.submit(this.answer, this.answer);
    } else {
      return false;
    }
    return true;
  }
}

class Multi {
  constructor(setup, place, submit) {
    Object.assign(this, { choices: setup.choices, place, submit });
  }

  prefill(answer, whose) {
    this.chosen = new Set(answer ?? []);
    this.whose = answer === null ? "" : WHOSE[whose];
    this.buttons = this.choices.map((choice) => {
      const button = choiceButton(choice);
      button.addEventListener("click", () => this.toggle(choice));
      return button;
    });
    this.send = submitButton("Submit");
    this.send.addEventListener("click", () => this.finish());
    this.note = make("span", { class: "whose" }, this.whose);
    this.place.replaceChildren(make("div", { class: "choices" }, ...this.buttons), this.send, this.note);
    this.draw();
  }

  toggle(choice) {
    this.chosen.has(choice.name) ? this.chosen.delete(choice.name) : this.chosen.add(choice.name);
    this.draw();
  }

  draw() {
    this.buttons.forEach((button, at) => {
      const chosen = this.chosen.has(this.choices[at].name);
      button.setAttribute("aria-pressed", String(chosen));
      button.classList.toggle("chosen", chosen);
    });
    this.send.firstChild.data = this.chosen.size ? `Submit ${this.chosen.size}` : "Submit: none of these";
  }

  finish() {
    const chosen = this.choices.map((choice) => choice.name).filter((name) => this.chosen.has(name));
    this.submit(chosen, chosen.join(", ") || "none of these");
  }

  key(event) {
    const choice = choiceFor(this.choices, event);
    if (choice) {
      this.toggle(choice);
    } else if (event.key === "Enter") {
      this.finish();
    } else {
      return false;
    }
    return true;
  }
}

class NumberAnswer {
  constructor(setup, place, submit) {
    Object.assign(this, { setup, place, submit });
  }

  prefill(answer, whose) {
    const { low, high, unit } = this.setup;
    const bounds = [low === null ? "" : `at least ${low}`, high === null ? "" : `at most ${high}`];
    const hint = bounds.filter(Boolean).join(", ") || "any number, such as 1.5";
    this.input = make("input", { id: "number", inputmode: "decimal", autocomplete: "off", maxlength: "40", "aria-describedby": "bounds wrong" });
    this.input.value = answer === null ? "" : String(Number(answer));
    this.wrong = make("p", { id: "wrong", class: "bad", role: "alert" });
    const send = submitButton("Submit");
    send.addEventListener("click", () => this.finish());
    const label = make("label", { for: "number" }, "Number");
    const note = make("span", { class: "whose" }, answer === null ? "" : WHOSE[whose]);
    this.place.replaceChildren(
      make("div", { class: "numeric" }, label, this.input, make("span", {}, visible(unit)), send, note),
      make("p", { id: "bounds", class: "quiet" }, hint),
      this.wrong,
    );
  }

  focus() {
    this.input.focus({ preventScroll: true });
    this.input.select();
    return true;
  }

  finish() {
    const text = this.input.value.trim();
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    const { low, high } = this.setup;
    let wrong = "";
    if (!Number.isFinite(number)) {
      wrong = text ? "That is no number; write it with a point, such as 1.5." : "Type a number first.";
    } else if (low !== null && number < low) {
      wrong = `That is below the least, ${low}.`;
    } else if (high !== null && number > high) {
      wrong = `That is above the most, ${high}.`;
    }
    this.wrong.textContent = wrong;
    this.input.setAttribute("aria-invalid", String(Boolean(wrong)));
    wrong ? this.focus() : this.submit(text, text);
  }

  key(event) {
    if (event.key === "Enter") {
      this.finish();
      return true;
    }
    if (/^[\d.+-]$/.test(event.key) && document.activeElement !== this.input) {
      this.input.focus();
    }
    return false;
  }
}

class Ranking {
  constructor(setup, place, submit) {
    Object.assign(this, { choices: setup.choices, place, submit });
  }

  prefill(answer, whose) {
    this.ranked = [...(answer ?? [])];
    this.whose = answer === null ? "" : WHOSE[whose];
    this.draw();
  }

  find(name) {
    return this.choices.find((choice) => choice.name === name);
  }

  get rest() {
    return this.choices.filter((choice) => !this.ranked.includes(choice.name));
  }

  rank(choice) {
    this.ranked.includes(choice.name)
      ? this.ranked.splice(this.ranked.indexOf(choice.name), 1)
      : this.ranked.push(choice.name);
    this.draw();
  }

  move(at, by) {
    const to = at + by;
    if (to >= 0 && to < this.ranked.length) {
      this.ranked.splice(to, 0, ...this.ranked.splice(at, 1));
      const name = this.ranked[to];
      this.draw();
      this.place.querySelector(`[data-at="${to}"][data-by="${by}"]`)?.focus();
      return name;
    }
    return "";
  }

  draw() {
    const rows = this.ranked.map((name, at) => {
      const arrow = (by, sign, word) => {
        const button = make("button", { type: "button", class: "plain", "data-at": at, "data-by": by, "aria-label": `Move ${name} ${word}` }, sign);
        button.addEventListener("click", () => this.move(at, by));
        button.disabled = by < 0 ? at === 0 : at === this.ranked.length - 1;
        return button;
      };
      const off = choiceButton(this.find(name), { "aria-label": `${name}, place ${at + 1}: take it out` });
      off.addEventListener("click", () => this.rank(this.find(name)));
      off.classList.add("chosen");
      return make("li", {}, off, arrow(-1, "\u2191", "up"), arrow(1, "\u2193", "down"));
    });
    const rest = this.rest.map((choice) => {
      const button = choiceButton(choice, { "aria-label": `${choice.name}: place ${this.ranked.length + 1}` });
      button.addEventListener("click", () => this.rank(choice));
      return button;
    });
    const send = submitButton("Submit the order");
    send.disabled = this.rest.length > 1;
    send.addEventListener("click", () => this.finish());
    const hint = this.rest.length > 1 ? "The best first, then the next best." : "";
    this.place.replaceChildren(
      make("ol", { class: "ranked", "aria-label": "Your order, the best first" }, ...rows),
      make("div", { class: "choices" }, ...rest),
      make("div", { class: "numeric" }, send, make("span", { class: "quiet" }, hint), make("span", { class: "whose" }, this.whose)),
    );
  }

  finish() {
    if (this.rest.length > 1) {
      return;
    }
    const order = [...this.ranked, ...this.rest.map((choice) => choice.name)];
    this.submit(order, order.join(", "));
  }

  key(event) {
    const choice = choiceFor(this.choices, event);
    if (choice) {
      this.rank(choice);
    } else if (event.key === "Backspace" && this.ranked.length) {
      this.ranked.pop();
      this.draw();
    } else if (event.key === "Enter") {
      this.finish();
    } else {
      return false;
    }
    return true;
  }
}

const KINDS = { single: Single, multi: Multi, number: NumberAnswer, ranking: Ranking };

export function answersOf(setup, place, submit) {
  return new KINDS[setup.kind](setup, place, submit);
}

export function keysOf(setup) {
  const keyed = setup.choices.filter((choice) => choice.key);
  const span = keyed.length ? `${keyed[0].key} … ${keyed[keyed.length - 1].key}` : "";
  return {
    single: [[span, "choose; the next item follows at once"], ["Enter", "take what is suggested, or your answer again"]],
    multi: [[span, "choose, or no longer"], ["Enter", "submit what is chosen"]],
    number: [["0 … 9", "type the number"], ["Enter", "submit it"]],
    ranking: [[span, "put in the next place, or take out"], ["Backspace", "take the last one out"], ["Enter", "submit; the last one left is the last"]],
  }[setup.kind];
}
