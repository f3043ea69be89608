// This module asks the server, and tells apart what it refused from what it could not answer.

const csrf = document.querySelector('meta[name="csrf"]').content;
// the path below which a proxy shows this page; empty without one
export const ROOT = document.documentElement.dataset.root;
const PATIENCE_MS = 20_000;
// browsers let no more than 64 KiB outlive a page
const OUTLIVES = 32 * 1024;

export class Refused extends Error {
  constructor(told, status) {
    super(told.problem);
    this.reason = told.reason;
    this.remedy = told.remedy ?? "";
    this.status = status;
  }
}

export class Unanswered extends Error {}

export async function ask(path, body) {
  const write = body !== undefined;
  const headers = { accept: "application/json" };
  if (write) {
    headers["content-type"] = "application/json";
    headers["x-csrf-token"] = csrf;
  }
  const text = write ? JSON.stringify(body) : undefined;
  let answer;
  try {
    answer = await fetch(ROOT + path, {
      method: write ? "POST" : "GET",
      headers,
      body: text,
      keepalive: write && text.length < OUTLIVES, // who leaves the page has answered all the same
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Unanswered("The server cannot be reached.");
  }
  let told;
  try {
    told = await answer.json();
  } catch {
    throw new Unanswered("The server did not finish its answer.");
  }
  if (answer.ok) {
    return told;
  }
  if (answer.status >= 500 || answer.status === 429) {
    throw new Unanswered(told.problem ?? `The server answers ${answer.status}.`);
  }
  throw new Refused(told, answer.status);
}

// Not randomUUID: browsers offer it on pages of https and of this machine only.
export function newRequest() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function signIn() {
  const here = location.pathname;
  const wanted = ROOT && here.startsWith(`${ROOT}/`) ? here.slice(ROOT.length) : here;
  location.assign(`${ROOT}/sign-in?next=${encodeURIComponent(wanted)}`);
}
