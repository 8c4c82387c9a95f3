// A stand-in for the server: enough of ringpost.v1.json to try the page and the client without one.
// Holds everything in memory. Faults are made by the caller: `drop`, `crash`, `stop`.
//
//     node tests/browser/standin.mjs [PORT]        then open the printed address

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const WEB = new URL('../../src/web/', import.meta.url);
const TYPES = {
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  ts: 'text/plain',
  html: 'text/html',
};
const COMMANDS = [
  { name: 'help', usage: '[command]', help: 'What commands there are' },
  { name: 'topic', usage: '<text>', help: 'Sets the topic of the room' },
  {
    name: 'kick',
    usage: 'USER',
    help: 'Removes a user',
    args: [{ name: 'user', type: 'user', required: true }],
  },
];

export class StandIn {
  rooms = new Map();
  conns = new Set();
  epoch = 1;
  /** Frames received, for assertions. */
  seen = [];
  /** Answer no sends until it is set free, as if the disk were slow. */
  heldAcks = null;

  async start(port = 0) {
    const policy = /POLICY: &str = "([^;]*(?:;[^"]*)*)"/.exec(
      await readFile(new URL('mod.rs', WEB), 'utf8'),
    );
    this.policy = policy[1].replace(/\\\n\s*/g, '');
    this.server = createServer((request, response) => this.#file(request, response));
    this.server.on('upgrade', (request, socket) => this.#upgrade(request, socket));
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    return this;
  }

  async stop() {
    for (const conn of this.conns) conn.socket.destroy();
    await new Promise((done) => this.server.close(done));
  }

  /** Cuts every connection without a word. */
  drop() {
    for (const conn of this.conns) conn.socket.destroy();
  }

  /** An unclean end: the newest `lose` events of every room never reached the disk. */
  crash(lose) {
    for (const room of this.rooms.values()) {
      room.log.splice(Math.max(room.log.length - lose, 0));
      room.epochs.set(this.epoch, room.log.length);
    }
    this.epoch += 1;
    this.drop();
  }

  room(name) {
    const fresh = {
      name,
      log: [],
      epochs: new Map(),
      members: new Set(),
      cids: new Map(),
      marks: new Map(),
      topic: '',
    };
    if (!this.rooms.has(name)) this.rooms.set(name, fresh);
    return this.rooms.get(name);
  }

  /** Appends a durable event and tells the room. */
  post(room, t, d, ts = Date.now()) {
    const event = { t, room: room.name, o: room.log.length + 1, ts, d };
    room.log.push(event);
    this.cast(room, event);
    return event;
  }

  cast(room, event, except) {
    for (const conn of room.members) if (conn !== except) conn.send(event);
  }

  async #file(request, response) {
    const path = new URL(request.url, 'http://x').pathname;
    const name = path === '/' ? 'console.html' : path.slice(1);
    try {
      const body = await readFile(fileURLToPath(new URL(name, WEB)));
      const type = `${TYPES[name.split('.').pop()]}; charset=utf-8`;
      response
        .writeHead(200, { 'content-type': type, 'content-security-policy': this.policy })
        .end(body);
    } catch {
      response.writeHead(404).end('not here');
    }
  }

  #upgrade(request, socket) {
    const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ringpost.v1.json\r\n\r\n`,
    );
    const conn = new Conn(socket, (frame) => this.#take(conn, frame));
    this.conns.add(conn);
    socket.on('close', () => this.#gone(conn));
    socket.on('error', () => {});
  }

  #gone(conn) {
    this.conns.delete(conn);
    for (const room of this.rooms.values()) {
      if (room.members.delete(conn)) this.presence(room, { leave: [conn.user] });
    }
  }

  presence(room, change) {
    this.cast(room, {
      t: 'presence',
      room: room.name,
      d: { n: new Set([...room.members].map((c) => c.user)).size, ...change },
    });
  }

  #take(conn, { t, id, room: name, d = {} }) {
    this.seen.push({ t, id, room: name, d, user: conn.user });
    const verb = VERBS[t];
    if (!verb) return conn.err(id, 405, 'no_such_verb');
    if (!conn.user && t !== 'hello')
      return conn.send({ t: 'err', d: { code: 400, name: 'bad_request' } });
    const room = name === undefined ? undefined : this.room(name);
    const answer = verb.call(this, conn, d, room, id);
    if (answer && id !== undefined) conn.send({ t: 'ok', id, d: answer });
    conn.after?.();
    conn.after = undefined;
  }

  join(conn, room, d) {
    const top = room.log.length;
    const base = {
      e: `e${this.epoch}`,
      o: top,
      role: 'member',
      topic: room.topic,
      present: room.members.size + 1,
    };
    room.members.add(conn);
    if (d.o !== undefined) {
      const epoch = Number(d.e.slice(1));
      const ends = [...room.epochs].filter(([e]) => e >= epoch).map(([, end]) => end);
      const backTo = Math.min(...ends, Infinity);
      if (d.o > backTo)
        return { answer: { ...base, recovered: false, back_to: backTo }, from: top };
      if (top - d.o > 300) return { answer: { ...base, recovered: false }, from: top };
      return { answer: { ...base, recovered: true, from: d.o + 1, n: top - d.o }, from: d.o };
    }
    const from = Math.max(top - (d.last ?? 0), 0);
    return { answer: { ...base, recovered: true, from: from + 1, n: top - from }, from };
  }

  announce(conn, room) {
    this.presence(room, { join: [conn.user] });
  }

  replay(conn, room, from) {
    for (const event of room.log.slice(from)) conn.send(event);
  }

  /** Latest versions of the messages, as history shows them. */
  messages(room) {
    const found = new Map();
    for (const { t, o, ts, d } of room.log) {
      if (t === 'msg') found.set(o, { t, room: room.name, o, ts, d: { ...d } });
      const of = found.get(d.of);
      if (t === 'edit' && of) Object.assign(of.d, { text: d.text, v: d.v, edited: ts });
      if (t === 'delete' && of)
        of.d = { from: of.d.from, cid: of.d.cid, src: of.d.src, deleted: true };
    }
    return [...found.values()];
  }
}

const VERBS = {
  hello(conn, d) {
    if (!d.user) return conn.err(1, 401, 'unauthorized');
    conn.user = d.user;
    const rooms = {};
    const replays = [];
    for (const [name, wish] of Object.entries(d.rooms ?? {})) {
      const { answer, from } = this.join(conn, this.room(name), wish);
      rooms[name] = answer;
      replays.push([this.room(name), from]);
    }
    conn.after = () =>
      replays.forEach(([room, from]) => {
        this.replay(conn, room, from);
        this.announce(conn, room);
      });
    const limits = {
      frame: 65_536,
      text: 32_768,
      send_per_s: 10,
      burst: 30,
      rooms: 128,
      history: 300,
    };
    return {
      sid: 's',
      resume: 'secret',
      user: d.user,
      e: `e${this.epoch}`,
      ts: Date.now(),
      ack: 'fsync',
      ping_ms: 25_000,
      pong_ms: 8_000,
      resume_ms: 120_000,
      limits,
      rooms,
    };
  },
  join(conn, d, room, id) {
    if (room.members.has(conn)) return conn.err(id, 409, 'already_joined');
    const { answer, from } = this.join(conn, room, d);
    conn.after = () => {
      this.replay(conn, room, from);
      this.announce(conn, room);
    };
    return answer;
  },
  leave(conn, d, room) {
    room.members.delete(conn);
    this.presence(room, { leave: [conn.user] });
    return {};
  },
  send(conn, { cid, text, reply }, room, id) {
    if (text.startsWith('/') && !text.startsWith('//'))
      return VERBS.cmd.call(this, conn, command(text), room);
    const key = `${conn.user} ${cid}`;
    const known = room.cids.get(key);
    const event = known ?? this.post(room, 'msg', { from: conn.user, cid, text, reply, src: 'ws' });
    room.cids.set(key, event);
    const ok = { t: 'ok', id, d: { o: event.o, ts: event.ts, dup: Boolean(known) } };
    if (this.heldAcks) this.heldAcks.push(() => conn.send(ok));
    else conn.send(ok);
    return undefined;
  },
  edit(conn, { o, text }, room) {
    const event = this.post(room, 'edit', { of: o, v: 2, from: conn.user, text });
    return { o: event.o, ts: event.ts, v: 2 };
  },
  delete(conn, { o }, room) {
    const event = this.post(room, 'delete', { of: o, from: conn.user });
    return { o: event.o, ts: event.ts };
  },
  history(conn, { before, after, around, limit = 50 }, room) {
    const all = this.messages(room);
    let picked = all.filter(({ o }) => (!before || o < before) && (!after || o > after));
    const more = picked.length > limit;
    if (around) picked = all.filter(({ o }) => Math.abs(o - around) <= limit / 2);
    else picked = after ? picked.slice(0, limit) : picked.slice(-limit);
    return { e: `e${this.epoch}`, msgs: picked, first: 1, top: room.log.length, more };
  },
  typing(conn, d, room) {
    this.cast(room, { t: 'typing', room: room.name, d: { user: conn.user } }, conn);
    return {};
  },
  mark(conn, d, room) {
    room.marks.set(conn.user, d);
    this.cast(room, { t: 'mark', room: room.name, d: { marks: [{ user: conn.user, ...d }] } });
    return {};
  },
  who(conn, d, room) {
    const names = [...new Set([...room.members].map(({ user }) => user))];
    const users = names.map((user) => ({
      user,
      role: 'member',
      state: 'online',
      ...room.marks.get(user),
    }));
    return { users, n: users.length, more: false };
  },
  status(conn, { state, text }) {
    for (const room of this.rooms.values()) {
      if (room.members.has(conn))
        this.presence(room, { status: [{ user: conn.user, state, text }] });
    }
    return {};
  },
  cmd(conn, { name, text }, room) {
    if (name === 'topic') {
      room.topic = text;
      this.post(room, 'room', { by: conn.user, topic: text });
    } else {
      const known = name === 'help';
      const words = known
        ? COMMANDS.map((c) => `/${c.name} ${c.usage}  ${c.help}`).join('\n')
        : `There is no command /${name}.`;
      conn.after = () =>
        conn.send({
          t: 'cmd',
          room: room.name,
          d: { call: 'c1', kind: known ? 'ephemeral' : 'error', text: words },
        });
    }
    return { state: 'done', call: 'c1' };
  },
  cmds: (conn, { prefix = '' }) => ({
    cmds: COMMANDS.filter(({ name }) => name.startsWith(prefix)),
  }),
  pong: () => ({}),
  bye(conn) {
    conn.close(1000);
    return undefined;
  },
};

function command(text) {
  const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(text);
  return { name, text: rest };
}

/** One WebSocket: unfragmented text frames are all it needs. */
class Conn {
  buffer = Buffer.alloc(0);

  constructor(socket, take) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.buffer = Buffer.concat([this.buffer, data]);
      for (let frame = this.#next(); frame; frame = this.#next()) {
        if (frame.opcode === 1) take(JSON.parse(frame.payload.toString()));
        if (frame.opcode === 8) this.close(1000);
      }
    });
  }

  #next() {
    const { buffer } = this;
    if (buffer.length < 6) return null;
    let size = buffer[1] & 127;
    let at = 2;
    if (size === 126) [size, at] = [buffer.readUInt16BE(2), 4];
    if (buffer.length < at + 4 + size) return null;
    const mask = buffer.subarray(at, at + 4);
    const payload = buffer.subarray(at + 4, at + 4 + size).map((byte, i) => byte ^ mask[i & 3]);
    this.buffer = buffer.subarray(at + 4 + size);
    return { opcode: buffer[0] & 15, payload: Buffer.from(payload) };
  }

  #write(opcode, payload) {
    const head = Buffer.alloc(payload.length < 126 ? 2 : 4);
    head[0] = 0x80 | opcode;
    head[1] = Math.min(payload.length, 126);
    if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
    if (this.socket.writable) this.socket.write(Buffer.concat([head, payload]));
  }

  send(frame) {
    this.#write(1, Buffer.from(JSON.stringify(frame)));
  }

  err(id, code, name) {
    this.send({ t: 'err', id, d: { code, name, retry: code === 429 || code >= 500 } });
    return undefined;
  }

  close(code) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#write(8, payload);
    this.socket.end();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await new StandIn().start(Number(process.argv[2] ?? 0));
  process.stdout.write(`stand-in listening on ${server.url}\n`);
}
