// After vite build: writes .br and .gz beside each file of dist/ that gains by it, so that the daemon only has to
// send them, and ends with an error when the whole is larger than a slow line should have to carry.
//
//   dist/assets/x.js ──> x.js.br, x.js.gz      sum of the smallest of each ──> at most LIMIT, else exit 1
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

/** Bytes, brotli, of everything together. */
const LIMIT = 150_000;
const DIST = fileURLToPath(new URL('../dist', import.meta.url));

/** Packs one file; returns the size of its smallest form. */
function pack(path) {
  const plain = readFileSync(path);
  const br = brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
  const gz = gzipSync(plain, { level: 9 });
  if (br.length < plain.length) writeFileSync(`${path}.br`, br);
  if (gz.length < plain.length) writeFileSync(`${path}.gz`, gz);
  return Math.min(plain.length, br.length);
}

/** The policy of the page allows neither: better an error here than a blank page later. */
function refuseInline(html) {
  if (/<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=/i.test(html)) {
    throw new Error(
      'dist/index.html has an inline script or style, which its Content-Security-Policy refuses',
    );
  }
}

const files = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
for (const stale of files.filter((path) => ['.br', '.gz'].includes(extname(path)))) rmSync(stale);

const sizes = files
  .filter((path) => !['.br', '.gz'].includes(extname(path)))
  .map((path) => ({ name: relative(DIST, path), size: pack(path) }))
  .sort((a, b) => b.size - a.size);
refuseInline(readFileSync(join(DIST, 'index.html'), 'utf8'));

const total = sizes.reduce((sum, file) => sum + file.size, 0);
for (const { name, size } of sizes) console.log(`${String(size).padStart(7)}  ${name}`);
console.log(`${String(total).padStart(7)}  bytes in all, brotli; at most ${LIMIT}`);
if (total > LIMIT) {
  console.error(`dist/ is ${total - LIMIT} bytes too large: see what the largest files above have in them`);
  process.exit(1);
}
