// This script is the page where somebody decides items on which votes differ.

import { answersOf } from "./answers.js";
import { ask, newRequest, Refused, signIn } from "./ask.js";
import { make, showFields, visible } from "./text.js";

const setup = JSON.parse(document.body.dataset.setup);
const at = (id) => document.getElementById(id);
const answers = answersOf(setup, at("answers"), decide);
const POLL_MS = 15_000;
const seen = new Set(); // decided, or put off
let conflicts = [];
let current = null;
let total = 0;
let busy = true;

function warn(words, action, label) {
  at("alert").replaceChildren(make("p", {}, words));
  if (action) {
    const button = make("button", { type: "button", class: "plain" }, label);
    button.addEventListener("click", action);
    at("alert").append(button);
  }
}

function words(answer) {
  return Array.isArray(answer) ? answer.join(", ") || "none of these" : String(answer);
}

function showVotes(votes) {
  const rows = votes.map((vote) => {
    const said = make("dd", {});
    said.append(visible(vote.skipped === null ? words(vote.answer) : `skipped: ${vote.skipped}`));
    return make("div", {}, make("dt", {}, visible(vote.rater)), said);
  });
  at("votes").replaceChildren(...rows);
}

function show(conflict) {
  current = conflict;
  busy = false;
  showFields(at("item"), conflict.item, conflict.fields);
  showVotes(conflict.votes);
  answers.prefill(null, "vote");
  at("later").disabled = false;
  at("figures").textContent = total === 1 ? "1 item is undecided" : `${total} items are undecided`;
  if (!answers.focus?.()) {
    at("item").focus({ preventScroll: true });
  }
}

async function load() {
  try {
    const found = await ask(`/api/tasks/${setup.task}/conflicts`);
    if (found.version !== setup.version) {
      location.reload();
      return;
    }
    conflicts = found.conflicts.filter((each) => !seen.has(each.item));
    total = found.total;
    at("alert").replaceChildren();
    conflicts.length ? show(conflicts.shift()) : none();
  } catch (error) {
    trouble(error, load);
  }
}

function none() {
  current = null;
  busy = true;
  const later = total ? `${total} put off; reload the page to see them again.` : "Votes that differ are shown here.";
  at("item").replaceChildren(make("p", { class: "big" }, "Nothing to decide."), make("p", { class: "quiet" }, later));
  at("item").removeAttribute("aria-busy");
  at("votes").replaceChildren();
  at("answers").replaceChildren();
  at("later").disabled = true;
  at("figures").textContent = "";
  setTimeout(load, POLL_MS);
}

function trouble(error, again) {
  if (error instanceof Refused && error.reason === "signed_out") {
    warn(error.message, signIn, "Sign in");
  } else if (error instanceof Refused) {
    warn(error.message);
    busy = false;
  } else {
    warn(error.message, again, "Try again");
  }
}

function next() {
  conflicts.length ? show(conflicts.shift()) : load();
}

function decide(value, said) {
  if (busy || !current) {
    return;
  }
  busy = true;
  send({ item: current.item, answer: value, request: newRequest() }, said);
}

// The same request again, when no answer came: it counts once.
async function send(body, said) {
  try {
    await ask("/api/adjudications", body);
  } catch (error) {
    trouble(error, () => send(body, said));
    return;
  }
  at("alert").replaceChildren();
  seen.add(body.item);
  total -= 1;
  at("status").textContent = `${said}.`;
  next();
}

function later() {
  if (!busy && current) {
    seen.add(current.item);
    at("status").textContent = "Put off.";
    next();
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input, textarea") && event.target.id !== "number";
  const native = event.key === "Enter" && event.target.matches?.("button, a, summary");
  if (typing || native || event.ctrlKey || event.metaKey || event.altKey || event.repeat || busy) {
    return;
  }
  if (event.key.toLowerCase() === "s") {
    later();
  } else if (!answers.key(event)) {
    return;
  }
  event.preventDefault();
});
at("later").addEventListener("click", later);
load();
