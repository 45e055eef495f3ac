/// <reference types="vitest/config" />
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The daemon that `npm run dev` shows.
const daemon = process.env.TEN_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [svelte()],
  // Without this the tests would get Svelte's build for servers, which has no effects.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
  server: {
    proxy: {
      '/api': { target: daemon, changeOrigin: true },
      '/health': { target: daemon, changeOrigin: true },
    },
  },
  build: {
    target: ['chrome120', 'firefox121', 'safari17.2'],
    // The policy of the page allows no data: but for images, and a polyfill of a browser that old would not do.
    assetsInlineLimit: 0,
    // A style that did not come once is never asked for again by the loader of pages, and the page would have none.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // They compute and wait for nothing: on a slow machine that takes longer than the usual 5 s.
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 60_000 },
});
