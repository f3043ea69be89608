// This script keeps the page of an endpoint up to date: it asks for the figures every two seconds
// and puts in the sections that changed. They come escaped from the server.
"use strict";

const EVERY_MS = 2000;
const KEY = "headrace-key";
const figures = document.getElementById("figures");
const state = document.getElementById("state");
const form = document.getElementById("key");
const input = document.getElementById("key-value");
const address = document.body.dataset.stats + "?as=sections";
const shown = new Map();
let timer = 0;

function say(words) {
  if (state.textContent !== words) {
    state.textContent = words;
  }
}

function held() {
  const focused = document.activeElement;
  return focused && figures.contains(focused) ? focused.closest("[aria-label]") : null;
}

function replace(id, html, before) {
  if (shown.get(id) === html) {
    return;
  }
  shown.set(id, html);
  const made = document.createElement("template");
  made.innerHTML = html;
  const section = made.content.firstElementChild;
  const old = document.getElementById(id);
  if (!old) {
    // in its place: after the section that is before it
    before ? before.after(section) : figures.prepend(section);
    return;
  }
  const focused = held();
  const again = focused && old.contains(focused) ? focused.getAttribute("aria-label") : null;
  old.replaceWith(section);
  if (again !== null) {
    const same = [...section.querySelectorAll("[aria-label]")].find(
      (each) => each.getAttribute("aria-label") === again,
    );
    if (same) {
      same.focus({ preventScroll: true });
    }
  }
}

function ask() {
  form.hidden = false;
  figures.replaceChildren();
  shown.clear();
  input.focus();
}

async function load() {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { authorization: "Bearer " + key } : {};
  let answer;
  try {
    answer = await fetch(address, { headers, cache: "no-store" });
  } catch {
    say("The endpoint cannot be reached; what is shown is what was known before. Trying again.");
    return true;
  }
  if (answer.status === 401 || answer.status === 403) {
    sessionStorage.removeItem(KEY);
    ask();
    say(key ? "This key may not read the endpoint." : "A key is needed to see the figures.");
    return false;
  }
  if (!answer.ok) {
    say("The endpoint answers " + answer.status + "; what is shown is what was known before.");
    return true;
  }
  const { sections } = await answer.json();
  form.hidden = true;
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && figures.contains(selection.anchorNode)) {
    say("Paused while text is selected.");
    return true;
  }
  let before = null;
  for (const [id, html] of Object.entries(sections)) {
    replace(id, html, before);
    before = document.getElementById(id);
  }
  for (const gone of [...figures.children].filter((each) => !(each.id in sections))) {
    shown.delete(gone.id);
    gone.remove();
  }
  say("Live: every 2 seconds.");
  return true;
}

async function keepLoading() {
  clearTimeout(timer);
  const goesOn = document.hidden || (await load());
  clearTimeout(timer);
  if (goesOn && !document.hidden) {
    timer = setTimeout(keepLoading, EVERY_MS);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, input.value);
  input.value = "";
  keepLoading();
});
document.addEventListener("visibilitychange", keepLoading);
keepLoading();
