// All lines that match, as a file: the export is read as it comes, and says when it broke.
import { send, wordsOf } from '../../api/client';
import { bytes } from '../../lib/format';
import { search, type Params } from '../../lib/logfilter';
import { toasts } from '../../stores/toasts.svelte';

/** Downloads what matches; `signal` gives it up. */
export async function download(given: Params, signal: AbortSignal): Promise<void> {
  const toast = toasts.say('info', 'Downloading the lines…');
  try {
    const response = await send(`/api/logs/export?${search(given)}`, { signal });
    const parts = await read(response, (size) =>
      toasts.change(toast, 'info', 'Downloading the lines…', bytes(size)),
    );
    save(new Blob(parts, { type: 'application/x-ndjson' }), `logs-${stamp()}.ndjson`);
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    toasts.change(toast, 'good', `Downloaded ${bytes(size)}`);
  } catch (error) {
    if (signal.aborted) toasts.drop(toast);
    else toasts.change(toast, 'bad', 'The download broke: nothing was saved', wordsOf(error));
  }
}

/** Parts are given to the browser as blobs, which it keeps on its disk when they are many. */
async function read(response: Response, progress: (size: number) => void): Promise<Blob[]> {
  const reader = response.body?.getReader();
  const parts: Blob[] = [];
  let chunks: Uint8Array<ArrayBuffer>[] = [];
  let waiting = 0;
  let all = 0;
  let said = performance.now();
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) break;
    chunks.push(next.value as Uint8Array<ArrayBuffer>);
    waiting += next.value.length;
    all += next.value.length;
    if (waiting > 4 << 20) {
      parts.push(new Blob(chunks));
      chunks = [];
      waiting = 0;
    }
    if (performance.now() - said > 300) {
      said = performance.now();
      progress(all);
    }
  }
  return [...parts, new Blob(chunks)];
}

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const stamp = (): string => new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-');
