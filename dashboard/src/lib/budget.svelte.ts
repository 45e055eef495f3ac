// What all marks on the page together may take of a frame: the lines that get nothing of it are marked in the next one.
import type { Budget } from './highlight';

const STEPS = 40_000;
let left = STEPS;
let begun = false;
let waiting = false;
let frame = $state(0);

function next(): void {
  left = STEPS;
  begun = false;
  if (waiting) frame += 1;
  waiting = false;
}

function begin(): void {
  if (begun) return;
  begun = true;
  requestAnimationFrame(next);
}

export const budget: Budget = {
  open() {
    if (left > 0) return true;
    // Whatever is derived from this is derived anew then.
    void frame;
    waiting = true;
    begin();
    return false;
  },
  spend(steps) {
    left -= steps;
    begin();
  },
};
