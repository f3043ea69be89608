// This module measures how long a rater looked at an item: not while the page is hidden, and of a
// time without a key, a click or a movement only the first two minutes.

const IDLE_MS = 120_000;
const SIGNS = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "touchstart"];

export class Attention {
  constructor() {
    this.spent = 0;
    this.since = null;
    for (const sign of SIGNS) {
      addEventListener(sign, () => this.sign(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => this.turn());
  }

  start() {
    this.spent = 0;
    this.since = document.hidden ? null : performance.now();
  }

  // Counts what passed since the last sign of life, and begins to wait for the next.
  sign() {
    if (this.since !== null) {
      const now = performance.now();
      this.spent += Math.min(now - this.since, IDLE_MS);
      this.since = now;
    }
  }

  turn() {
    this.sign();
    this.since = document.hidden ? null : performance.now();
  }

  get ms() {
    this.sign();
    return Math.round(this.spent);
  }
}
