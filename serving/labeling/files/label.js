// This script is the page where items are labelled. One item is on the screen, the next one is here
// already, and what was answered is on its way: a key press waits for nobody.

import { answersOf, keysOf } from "./answers.js";
import { ask, newRequest, Refused, ROOT, signIn, Unanswered } from "./ask.js";
import { Attention } from "./attention.js";
import { Outbox } from "./outbox.js";
import { key, make, showFields } from "./text.js";

const setup = JSON.parse(document.body.dataset.setup);
const at = (id) => document.getElementById(id);
const task = `/api/tasks/${setup.task}`;
const POLL_MS = 10_000;
const FIGURES_MS = 15_000;
// nobody reads in this time: a key that bounced would answer an item that was not seen
const UNSEEN_MS = 100;
const REASONS = ["It is unclear", "No choice fits", "It cannot be read", "I do not know enough"];

const attention = new Attention();
const outbox = new Outbox(`answers:${setup.rater}`, told);
const answers = answersOf(setup, at("answers"), answer);
let current = null; // the claim on the screen
let ready = []; // claims to be shown next
let shownAt = 0;
let busy = true;
let over = false; // the lease of the current claim has ended
let expiry = 0;
let polling = 0;
let figures = null;
let nobodyLeft = 0; // items that none of the raters there are could answer

function say(words) {
  at("status").textContent = words;
}

function warn(words, action, label) {
  const place = at("alert");
  place.replaceChildren();
  if (words) {
    place.append(make("p", {}, words));
  }
  if (action) {
    const button = make("button", { type: "button", class: "plain" }, label);
    button.addEventListener("click", action);
    place.append(button);
  }
}

function told(state) {
  const place = at("sending");
  if (state === "sent") {
    place.textContent = "";
  } else if (state === "signed out") {
    signedOut();
  } else if (state.waiting) {
    const many = state.waiting === 1 ? "1 answer is" : `${state.waiting} answers are`;
    place.textContent = `${state.why} ${many} kept here and sent again in ${Math.ceil(state.inMs / 1000)} s.`;
  } else if (state.refused) {
    place.textContent = "";
    const again = state.refused.reason === "lease_expired";
    warn(
      `Your answer to item #${state.sent.item} does not count. ${state.refused.message}`,
      again ? () => location.assign(`?item=${state.sent.item}`) : null,
      "Show it again",
    );
  }
}

function signedOut() {
  const kept = outbox.waiting.length ? " What you answered is kept in this tab and sent then." : "";
  halt(
    "You are not signed in any more: somebody signed in elsewhere with your token, you signed out in another tab, or your token was taken away." + kept,
  );
  warn("Sign in again to go on.", signIn, "Sign in");
}

function halt(words) {
  clearTimeout(expiry);
  current = null;
  busy = true;
  at("answers").replaceChildren();
  at("item").replaceChildren(make("p", { class: "big" }, words));
  at("item").removeAttribute("aria-busy");
  for (const id of ["undo", "skip"]) {
    at(id).disabled = true;
  }
}

function failed(error) {
  if (error instanceof Refused && error.reason === "signed_out") {
    signedOut();
  } else {
    throw error;
  }
}

// Asks until there is an answer: what the server refuses is thrown, what it cannot do is waited for.
async function insist(path, body) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 15_000)) {
    try {
      const found = await ask(path, body);
      at("sending").textContent = "";
      return found;
    } catch (error) {
      if (!(error instanceof Unanswered)) {
        throw error;
      }
      at("sending").textContent = `${error.message} Trying again in ${Math.ceil(wait / 1000)} s.`;
      await outbox.rest(wait);
    }
  }
}

async function claimed(body) {
  const found = await insist(`${task}/next`, body);
  if (found.version !== setup.version) {
    location.reload(); // the task is another one since
    return new Promise(() => undefined);
  }
  nobodyLeft = found.nobody_left ?? 0;
  return received(found.claim);
}

function received(claim) {
  if (claim) {
    claim.until = performance.now() + claim.seconds * 1000;
  }
  return claim;
}

function show(claim) {
  current = claim;
  over = false;
  busy = false;
  clearTimeout(polling);
  clearTimeout(expiry);
  expiry = setTimeout(expired, Math.max(claim.until - performance.now(), 0));
  showFields(at("item"), claim.item, claim.fields);
  at("item").scrollTop = 0;
  scrollTo(0, 0);
  answers.prefill(claim.vote ?? claim.suggested, claim.vote === null ? "suggested" : "vote");
  at("skip").disabled = at("undo").disabled = false;
  if (!answers.focus?.()) {
    at("item").focus({ preventScroll: true });
  }
  shownAt = performance.now();
  attention.start();
  performance.mark("shown");
  prefetch();
}

function prefetch() {
  if (ready.length) {
    return;
  }
  const shown = current;
  outbox
    .after(async () => {
      if (current === shown && !ready.length) {
        const claim = await claimed({ ahead: 1 });
        if (claim && claim.item !== current?.item) {
          ready.push(claim);
        }
      }
    })
    .catch(failed);
}

// Shows what is ready, or asks for it; there may be none.
async function next(said) {
  const claim = ready.shift();
  if (claim && claim.until > performance.now() + 1000) {
    show(claim);
    say(said);
    return;
  }
  busy = true;
  current = null;
  clearTimeout(expiry);
  say(said);
  await outbox.after(async () => {
    const found = ready.shift() ?? (await claimed({}));
    found ? show(found) : finished();
  });
}

function answer(value, words) {
  if (busy || !current || performance.now() - shownAt < UNSEEN_MS) {
    return;
  }
  if (over) {
    askAgain();
    return;
  }
  leave("/api/votes", { answer: value, ms: attention.ms }, `${words}.`);
}

function leave(path, body, said) {
  const { lease, item, vote } = current;
  warn("");
  outbox.push(path, { lease, request: newRequest(), ...body }, item).catch(failed);
  if (figures && vote === null && path === "/api/votes") {
    figures.mine += 1;
    drawFigures();
  }
  next(said).catch(failed);
}

function finished() {
  const left = figures && figures.votes < figures.wanted;
  halt("All done, thank you.");
  at("item").append(
    make("p", { class: "quiet" }, nobodyLeft ? `${nobodyLeft === 1 ? "1 item waits" : `${nobodyLeft} items wait`} for a rater who is not there: tell whoever runs this page to add one, or to close the batch.` : left ? "What is left is with other raters; if it comes back, it is shown here." : "New items are shown here as soon as there are any."),
    make("p", {}, make("a", { href: `${ROOT}/` }, "To the list of tasks")),
  );
  at("undo").disabled = false;
  busy = false;
  refreshFigures();
  clearTimeout(polling);
  polling = setTimeout(() => outbox.after(poll).catch(failed), POLL_MS);
}

async function poll() {
  if (current || busy) {
    return;
  }
  const claim = document.hidden ? null : await claimed({});
  if (claim) {
    show(claim);
    say("There is something to label again.");
  } else {
    polling = setTimeout(() => outbox.after(poll).catch(failed), POLL_MS);
  }
}

function expired() {
  over = true;
  warn(
    "This item was kept for you for a while, and may go to somebody else now.",
    askAgain,
    "Ask for it again",
  );
}

function askAgain() {
  if (busy || !current) {
    return;
  }
  busy = true;
  const item = current.item;
  outbox
    .after(async () => {
      try {
        const claim = (await claimed({ item })) ?? (await claimed({}));
        warn("");
        claim ? show(claim) : finished();
        say(claim?.item === item ? "It is yours again." : "");
      } catch (error) {
        await goOn(error);
      }
    })
    .catch(failed);
}

// Shows what else there is when a certain item cannot be had, and says why.
async function goOn(error) {
  if (!(error instanceof Refused) || error.reason === "signed_out") {
    throw error;
  }
  const claim = ready.shift() ?? (await claimed({}));
  claim ? show(claim) : finished();
  warn(error.message);
}

function undo() {
  if (busy) {
    return;
  }
  const before = current;
  busy = true;
  outbox
    .after(async () => {
      try {
        const found = await insist(`${task}/undo`, { request: newRequest() });
        if (before) {
          ready.unshift(before);
        }
        warn("");
        show(received(found.claim));
        say("Your last answer is taken back. Answer again.");
        refreshFigures();
      } catch (error) {
        if (!(error instanceof Refused) || error.reason === "signed_out") {
          throw error;
        }
        busy = false;
        say(error.message);
      }
    })
    .catch(failed);
}

function openSkip() {
  if (busy || !current || over) {
    return;
  }
  at("why").value = "";
  at("skipping").showModal();
  at("reasons").querySelector("button").focus();
}

function skip(why) {
  at("skipping").close();
  if (!busy && current && why) {
    leave("/api/skips", { why, ms: attention.ms }, "Skipped.");
  }
}

function fillDialogs() {
  REASONS.forEach((reason, place) => {
    const button = make("button", { type: "button", class: "choice" }, key(String(place + 1)), reason);
    button.addEventListener("click", () => skip(reason));
    at("reasons").append(button);
  });
  at("skipping").addEventListener("keydown", (event) => {
    const reason = REASONS[Number(event.key) - 1];
    if (reason && event.target !== at("why")) {
      event.preventDefault();
      skip(reason);
    }
  });
  at("skipping").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const why = at("why").value.trim();
    why ? skip(why) : at("why").focus();
  });
  at("stay").addEventListener("click", () => at("skipping").close());
  const rows = [...keysOf(setup), ["s", "skip it and say why"], ["u", "take your last answer back"], ["?", "show the keys"]];
  for (const [label, what] of rows) {
    at("keys-table").append(make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, label)), make("td", {}, what)));
  }
}

const COMMANDS = { s: openSkip, u: undo, "?": () => at("keys").showModal() };

function pressed(event) {
  const typing = event.target.matches?.("input, textarea, select") && event.target.id !== "number";
  const native = event.key === "Enter" && event.target.matches?.("button, a, summary");
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) {
    return;
  }
  if (typing || native || document.querySelector("dialog[open]")) {
    return;
  }
  const command = COMMANDS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (command) {
    event.preventDefault();
    command();
  } else if (current && !busy && answers.key(event)) {
    event.preventDefault();
  }
}

async function refreshFigures() {
  try {
    figures = await ask(`${task}/progress`);
    figures.mine += outbox.waiting.filter((sent) => sent.path === "/api/votes").length;
    drawFigures();
  } catch {
    // the next time, or whoever sends answers says what is wrong
  }
}

function drawFigures() {
  const { items, done, votes, wanted, mine, mine_per_minute, all_per_minute } = figures;
  const part = (some, all) => (all ? some / all : 0);
  at("bar").value = 100 * Math.min(Math.max(part(votes, wanted), part(done, items)), 1);
  const rate = (each) => (each ? each.toFixed(1) : "0");
  at("figures").textContent =
    `${done} of ${items} items done \u00b7 yours: ${mine} \u00b7 ` +
    `${rate(mine_per_minute)} a minute, all ${rate(all_per_minute)}`;
}

async function begin() {
  if (outbox.waiting.length) {
    say("Sending what was kept.");
  }
  await outbox.after(async () => {
    try {
      const claim = await claimed({ item: setup.item });
      claim ? show(claim) : finished();
    } catch (error) {
      await goOn(error);
    }
  });
}

fillDialogs();
document.addEventListener("keydown", pressed);
at("undo").addEventListener("click", undo);
at("skip").addEventListener("click", openSkip);
at("help").addEventListener("click", COMMANDS["?"]);
setInterval(() => document.hidden || refreshFigures(), FIGURES_MS);
refreshFigures();
begin().catch(failed);
