// What a stream says, over a WebSocket: of those a browser has hundreds for all windows of a daemon, of other connections six.
//
//   handshake, the token among its subprotocols ──open──> lines … each message is answered once it is taken in, so that no
//        │                                                more of them lie here than the daemon lets
//        └──refused, nobody on the way lets it pass, slow──> null: a request like any other says why, or is the way
import { bearer } from './client';

/** Milliseconds for a handshake. */
const PATIENCE = 5_000;

export type Lines = AsyncGenerator<string[], void, void>;

/** Resolves when it is open, with the lines of each message, until it ends for whatever reason; with null if it does not open. */
export async function openSocket(path: string, signal: AbortSignal): Promise<Lines | null> {
  let socket: WebSocket;
  try {
    const url = new URL(path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    socket = new WebSocket(url, ['tenement.lines', `tenement.bearer.${bearer() ?? ''}`]);
  } catch {
    // A token of letters that a subprotocol may not have.
    return null;
  }
  const messages: string[] = [];
  let ended = false;
  let wake = (): void => {};
  const end = (): void => {
    ended = true;
    socket.close();
    wake();
  };
  const giveUp = (): void => {
    messages.length = 0;
    end();
  };
  signal.addEventListener('abort', giveUp, { once: true });
  socket.onmessage = ({ data }) => {
    messages.push(String(data));
    wake();
  };
  const opened = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => wake(), PATIENCE);
    wake = (): void => {
      clearTimeout(timer);
      resolve(socket.readyState === socket.OPEN);
    };
    socket.onopen = wake;
    socket.onclose = end;
  });
  if (!opened) {
    end();
    return null;
  }
  return (async function* () {
    try {
      while (!ended || messages.length > 0) {
        const message = messages.shift();
        if (message === undefined) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        yield message.split('\n');
        // An empty one only says that the daemon is there.
        if (message !== '' && !ended) socket.send('');
      }
    } finally {
      end();
    }
  })();
}
