// The dashboard in Debian's Chromium, against a real daemon: `npx playwright test`. No browser is downloaded.
import { execFileSync } from 'node:child_process';
import { defineConfig } from '@playwright/test';

const chromium = process.env.CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim();

export default defineConfig({
  testDir: 'tests',
  // Each worker has a daemon of its own.
  workers: 1,
  // For what a slow machine has to compute, as axe over each page; what is waited for has a patience of its own.
  timeout: 120_000,
  expect: { timeout: 15_000 },
  forbidOnly: process.env.CI !== undefined,
  reporter: [['list']],
  use: {
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: chromium,
      // Root has no sandbox of Chromium's kind; all that it opens here is ours.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
    trace: 'retain-on-failure',
  },
});
