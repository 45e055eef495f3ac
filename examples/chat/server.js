// A chat room. Knows nothing of tenants. WebSockets by hand (RFC 6455), so that it needs no package.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 section 1.3
const MAX_MESSAGE = 64 * 1024;
const MAX_BEHIND = 1024 * 1024; // bytes that wait for somebody who does not read
const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const GOING_AWAY = 1001, PROTOCOL_ERROR = 1002, NOT_UTF8 = 1007, TOO_BIG = 1009; // section 7.4.1
const utf8 = new TextDecoder('utf-8', { fatal: true });
const people = new Set();
const page = fs.readFileSync(`${__dirname}/index.html`);

const server = http.createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\n');
  if (request.url !== '/') return response.writeHead(404).end('There is nothing here.\n');
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page);
});

// Section 4.2: the opening handshake.
server.on('upgrade', (request, socket, first) => {
  socket.on('error', () => socket.destroy());
  const refuse = (status, more = '') => socket.end(`HTTP/1.1 ${status}\r\n${more}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  const key = request.headers['sec-websocket-key'] ?? '';
  if (String(request.headers.upgrade).toLowerCase() !== 'websocket') return refuse('400 Bad Request');
  if (request.headers['sec-websocket-version'] !== '13') return refuse('426 Upgrade Required', 'Sec-WebSocket-Version: 13\r\n');
  if (Buffer.from(key, 'base64').length !== 16) return refuse('400 Bad Request');
  const accept = crypto.createHash('sha1').update(key + GUID).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  join(socket, first);
});

function join(socket, first) {
  let buffer = first, parts = [], size = 0, kind = 0;
  people.add(socket);
  socket.on('close', () => people.delete(socket)).on('end', () => socket.destroy());
  socket.on('data', (data) => { buffer = Buffer.concat([buffer, data]); read(); });
  read();

  function read() {
    for (let next; people.has(socket) && (next = take(buffer)) !== null; buffer = buffer.subarray(next.size)) {
      const fault = next.fault ?? handle(next);
      if (fault) leave(socket, fault);
    }
  }

  // Answers with the code of what is wrong with the frame, if something is.
  function handle({ opcode, payload, final }) {
    if (opcode === CLOSE) return closing(payload) ?? leave(socket, payload.length ? payload.readUInt16BE(0) : null);
    if (opcode === PING) { send(socket, PONG, payload); return null; }
    if (opcode === PONG) return null;
    // Section 5.4: a message is one frame, or a first one and continuations.
    if ((opcode === CONTINUATION) !== (parts.length > 0)) return PROTOCOL_ERROR;
    if (opcode !== CONTINUATION) [kind, size] = [opcode, 0];
    parts.push(payload);
    size += payload.length;
    if (size > MAX_MESSAGE) return TOO_BIG;
    if (!final) return null;
    const message = Buffer.concat(parts);
    parts = [];
    if (kind === TEXT && !isUtf8(message)) return NOT_UTF8;
    tell(kind, message);
    return null;
  }
}

// The first frame in the buffer; null while it is not whole. Section 5.2.
function take(buffer) {
  if (buffer.length < 2) return null;
  const final = (buffer[0] & 0x80) !== 0, reserved = buffer[0] & 0x70, opcode = buffer[0] & 15;
  const masked = (buffer[1] & 0x80) !== 0;
  let length = buffer[1] & 127, at = 2;
  const known = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode);
  // Section 5.1: a client must mask. Section 5.5: a control frame is whole and short.
  if (reserved || !known || !masked || (opcode >= CLOSE && (!final || length > 125))) return { fault: PROTOCOL_ERROR, size: 0 };
  if (length === 126) { if (buffer.length < 4) return null; length = buffer.readUInt16BE(2); at = 4; }
  else if (length === 127) { if (buffer.length < 10) return null; length = Number(buffer.readBigUInt64BE(2)); at = 10; }
  if (length > MAX_MESSAGE) return { fault: TOO_BIG, size: 0 };
  if (buffer.length < at + 4 + length) return null;
  const mask = buffer.subarray(at, at + 4);
  const payload = Buffer.from(buffer.subarray(at + 4, at + 4 + length));
  for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
  return { final, opcode, payload, size: at + 4 + length };
}

// What is wrong with the payload of a close frame; null when it is well-formed. Section 7.4.
function closing(payload) {
  if (payload.length === 0) return null;
  if (payload.length === 1) return PROTOCOL_ERROR;
  const code = payload.readUInt16BE(0);
  const allowed = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  if (!allowed) return PROTOCOL_ERROR;
  return isUtf8(payload.subarray(2)) ? null : NOT_UTF8;
}

function isUtf8(bytes) {
  try { utf8.decode(bytes); return true; } catch { return false; }
}

function send(socket, opcode, payload) {
  const length = payload.length;
  let head;
  if (length < 126) head = Buffer.from([0x80 | opcode, length]);
  else if (length < 65536) head = Buffer.from([0x80 | opcode, 126, length >> 8, length & 255]);
  else { head = Buffer.alloc(10); head[0] = 0x80 | opcode; head[1] = 127; head.writeBigUInt64BE(BigInt(length), 2); }
  socket.write(Buffer.concat([head, payload]));
  if (socket.writableLength > MAX_BEHIND) socket.destroy();
}

// Says goodbye, with a code or without, and ends the connection.
function leave(socket, code) {
  people.delete(socket);
  const payload = Buffer.alloc(code === null ? 0 : 2);
  if (code !== null) payload.writeUInt16BE(code);
  send(socket, CLOSE, payload);
  socket.destroySoon();
}

function tell(kind, message) {
  console.log(`${people.size} people, a message of ${message.length} bytes`);
  for (const one of people) send(one, kind, message);
}

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  for (const one of people) leave(one, GOING_AWAY);
  server.closeAllConnections();
  setTimeout(() => process.exit(0), 1000).unref(); // nobody has to take the goodbye
});

fs.rmSync(process.env.SOCKET_PATH, { force: true });
server.listen(process.env.SOCKET_PATH, () => console.log('the room is open'));
