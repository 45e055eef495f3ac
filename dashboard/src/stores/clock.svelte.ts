// The time, for ages that grow on the screen: one timer for all of them, and none while nobody looks.

class Clock {
  now = $state(Date.now());
  /** The daemon's clock less ours, in milliseconds. */
  skew = $state(0);

  constructor() {
    setInterval(() => {
      if (document.visibilityState === 'visible') this.now = Date.now();
    }, 1000);
    document.addEventListener('visibilitychange', () => (this.now = Date.now()));
  }

  /** The time as the daemon has it: ages are of its stamps. */
  get daemon(): number {
    return this.now + this.skew;
  }

  /** Takes the difference from a message that was sent just now; small ones are the way it took. */
  learn(at: number): void {
    const skew = at - Date.now();
    if (Math.abs(skew - this.skew) > 1500) this.skew = Math.abs(skew) > 1500 ? skew : 0;
  }
}

export const clock = new Clock();
