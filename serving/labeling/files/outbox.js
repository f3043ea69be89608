// This module sends answers, each until it is acknowledged or refused, in the order they were given.
// What is not acknowledged yet is kept in the tab, so that a reload or a server that is away loses
// nothing; the id of a request makes an answer that arrives twice count once.

import { ask, Refused, Unanswered } from "./ask.js";

const FIRST_MS = 500;
const MOST_MS = 15_000;

export class Outbox {
  // tell(state): "sent", {waiting: n, why, inMs}, {refused: error, sent}, or "signed out"
  constructor(name, tell) {
    this.name = name;
    this.tell = tell;
    this.waiting = this.kept();
    this.line = Promise.resolve();
    this.wakes = [];
    this.failing = false;
    addEventListener("online", () => this.wake());
    addEventListener("pagehide", () => this.hurry());
    addEventListener("beforeunload", (event) => this.failing && event.preventDefault());
  }

  kept() {
    try {
      const found = JSON.parse(sessionStorage.getItem(this.name) ?? "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  }

  keep() {
    try {
      sessionStorage.setItem(this.name, JSON.stringify(this.waiting));
    } catch {
      // a browser that keeps nothing still sends
    }
  }

  // Sends an answer; what is done by `after` follows it.
  push(path, body, item) {
    this.waiting.push({ path, body, item });
    this.keep();
    return this.after(() => undefined);
  }

  // Runs something once all answers so far are sent; what comes later waits for it.
  after(run) {
    const done = this.line.then(() => this.drain()).then(run);
    this.line = done.catch(() => undefined);
    return done;
  }

  async drain() {
    let wait = FIRST_MS;
    while (this.waiting.length) {
      const sent = this.waiting[0];
      try {
        await ask(sent.path, sent.body);
        this.failing = false;
        this.tell("sent");
      } catch (error) {
        if (error instanceof Unanswered) {
          this.failing = true;
          this.tell({ waiting: this.waiting.length, why: error.message, inMs: wait });
          await this.rest(wait);
          wait = Math.min(wait * 2, MOST_MS);
          continue;
        }
        this.failing = false;
        if (error instanceof Refused && error.reason === "signed_out") {
          this.tell("signed out");
          throw error;
        }
        this.tell({ refused: error, sent });
      }
      wait = FIRST_MS;
      this.waiting.shift();
      this.keep();
    }
  }

  // Sends everything at once when the page is left; what arrives twice counts once.
  hurry() {
    for (const sent of this.waiting) {
      ask(sent.path, sent.body).catch(() => undefined);
    }
  }

  rest(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakes.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  wake() {
    for (const wake of this.wakes.splice(0)) {
      wake();
    }
  }
}
