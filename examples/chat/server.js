// A chat room. Knows nothing of tenants. WebSockets by hand (RFC 6455), so that it needs no package.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 section 1.3
const MAX_MESSAGE = 64 * 1024;
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const people = new Set();
const page = fs.readFileSync(`${__dirname}/index.html`);

const server = http.createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\n');
  if (request.url !== '/') return response.writeHead(404).end('There is nothing here.\n');
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page);
});

server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'];
  if (!key) return socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
  const accept = crypto.createHash('sha1').update(key + GUID).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  join(socket);
});

function frame(opcode, payload) {
  const length = payload.length;
  let head;
  if (length < 126) head = Buffer.from([0x80 | opcode, length]);
  else if (length < 65536) head = Buffer.from([0x80 | opcode, 126, length >> 8, length & 255]);
  else { head = Buffer.alloc(10); head[0] = 0x80 | opcode; head[1] = 127; head.writeBigUInt64BE(BigInt(length), 2); }
  return Buffer.concat([head, payload]);
}

function join(socket) {
  let buffer = Buffer.alloc(0), parts = [], kind = 0;
  people.add(socket);
  const leave = () => { people.delete(socket); socket.destroy(); };
  socket.on('error', leave).on('close', leave).on('end', leave);
  socket.on('data', (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (let next; (next = take(buffer)) !== null; buffer = buffer.subarray(next.size)) {
      if (next.bad) return leave();
      const { opcode, payload, final } = next;
      if (opcode === CLOSE) { socket.end(frame(CLOSE, payload.subarray(0, 2))); return people.delete(socket); }
      if (opcode === PING) { socket.write(frame(PONG, payload)); continue; }
      if (opcode === PONG) continue;
      if (opcode) kind = opcode;
      parts.push(payload);
      if (parts.reduce((sum, part) => sum + part.length, 0) > MAX_MESSAGE) return leave();
      if (final) { tell(kind, Buffer.concat(parts)); parts = []; }
    }
  });
}

// The first frame in the buffer; null while it is not whole.
function take(buffer) {
  if (buffer.length < 2) return null;
  const final = (buffer[0] & 0x80) !== 0, opcode = buffer[0] & 15, masked = (buffer[1] & 0x80) !== 0;
  let length = buffer[1] & 127, at = 2;
  if (length === 126) { if (buffer.length < 4) return null; length = buffer.readUInt16BE(2); at = 4; }
  else if (length === 127) { if (buffer.length < 10) return null; length = Number(buffer.readBigUInt64BE(2)); at = 10; }
  if (!masked || length > MAX_MESSAGE) return { bad: true, size: 0 }; // section 5.1: a client must mask
  if (buffer.length < at + 4 + length) return null;
  const mask = buffer.subarray(at, at + 4);
  const payload = Buffer.from(buffer.subarray(at + 4, at + 4 + length));
  for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
  return { final, opcode, payload, size: at + 4 + length };
}

function tell(kind, message) {
  console.log(`${people.size} people, a message of ${message.length} bytes`);
  for (const one of people) one.write(frame(kind === BINARY ? BINARY : TEXT, message));
}

process.on('SIGTERM', () => {
  for (const one of people) one.end(frame(CLOSE, Buffer.from([3, 233]))); // 1001: going away
  server.close(() => process.exit(0));
  server.closeAllConnections();
});

fs.rmSync(process.env.SOCKET_PATH, { force: true });
server.listen(process.env.SOCKET_PATH, () => console.log('the room is open'));
