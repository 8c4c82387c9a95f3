// @ts-check
/**
 * The ringpost client: one ES module without dependencies, for browsers, Deno, Bun and Node 22.
 *
 *     import { connect } from '/ringpost.js';
 *     const chat = connect({ url: 'ws://127.0.0.1:8080/ws', user: 'alice' });
 *     chat.on('msg', ({ room, o, d }) => console.log(room, o, d.from, d.text));
 *     await chat.join('general', { last: 50 });
 *     const { o } = await chat.send('general', 'hello');
 *
 * What it promises:
 * - it reconnects by itself with full jitter, and obeys the verdict in the close code;
 * - each room continues at its position (epoch, offset): no event twice, and never a silent hole:
 *   what is missing is told by `gap`, what the server lost in a crash by `rolled_back`;
 * - a `send` is kept until the server acknowledged it, and sent again under the same `cid`;
 *   within a room messages keep their order.
 *
 * It never stores anything outside memory: a closed page forgets what was not acknowledged.
 * The rules are those of docs/PROTOCOL.md; types are in ringpost.d.ts.
 */

/** The WebSocket sub-protocol this module speaks. */
export const PROTOCOL = 'ringpost.v1.json';

/** Upper bound of the first and of the longest random wait before a new attempt. */
const BACKOFF_MS_MIN = 200;
const BACKOFF_MS_MAX = 20_000;
/** A connection that lived this long ends a row of failures. */
const STABLE_MS = 10_000;
/** From opening the socket to the answer to `hello`. */
const HELLO_TIMEOUT_MS = 15_000;
/** The server forgets a `cid` after 5 minutes; one minute is for clocks and the way. */
const CID_TRUST_MS = 4 * 60_000;
/** The server relays a `typing` this often at most, so more need not be sent. */
const TYPING_THROTTLE_MS = 5_000;
/** Wait before a refused request that may succeed later, where the server names no time. */
const RETRY_MS = 1_000;

/** Close codes of RFC 6455 after which the same program would only fail again. */
const CLOSE_FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009]);
/** Requests that may be carried out twice without harm, so a lost answer means: ask again. */
const REPEATABLE = new Set(['history', 'who', 'status', 'cmds', 'mark', 'edit', 'delete']);

/** An `err` reply of the server, or the end of the connection (code 0). */
export class RingpostError extends Error {
  /** @param {{code: number, name: string, msg?: string, retry?: boolean, after_ms?: number}} d */
  constructor(d) {
    super(d.msg || d.name);
    this.name = 'RingpostError';
    /** Number of the error table in docs/PROTOCOL.md; 0 when the connection ended for good. */
    this.code = d.code;
    /** Stable name of the same table. */
    this.reason = d.name;
    this.retry = d.retry === true;
    this.after_ms = d.after_ms;
  }
}

/**
 * Opens a connection that keeps itself up until `close()` or a final verdict of the server.
 * @param {import('./ringpost.d.ts').ConnectOptions} options
 */
export function connect(options) {
  return new Client(options);
}

/** What the client remembers of one room. */
class Room {
  /** @param {string} name @param {{last?: number, member?: boolean}} options */
  constructor(name, { last, member }) {
    this.name = name;
    this.last = last;
    this.member = member;
    /** Epoch of the position; undefined before the first answer. @type {string|undefined} */
    this.e = undefined;
    /** Offset of the last event seen. @type {number|undefined} */
    this.o = undefined;
    /** Top offset of the last join: replay goes on until `o` reaches it. */
    this.replayTo = 0;
    /** Is it attached on the present connection? */
    this.attached = false;
    /** Settles the promise of `join`. @type {Deferred|null} */
    this.joining = null;
    /** Messages in order, not yet acknowledged. @type {Outgoing[]} */
    this.outbox = [];
    /** The one message under way. One at a time keeps the order even where one is refused. */
    this.sending = false;
    /** Timer of a refused send. @type {any} */
    this.pause = null;
    this.typedAt = -Infinity;
    /** Watermarks already told. */
    this.marks = { recv: 0, read: 0 };
  }

  /** The `d` of a join: by position where there is one. */
  wish() {
    const member = this.member || undefined;
    if (this.o === undefined) return { last: this.last, member };
    return { e: this.e, o: this.o, member };
  }
}

class Client {
  #options;
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {Map<string, Set<Function>>} */ #listeners = new Map();
  /** @type {Map<string, Room>} */ #rooms = new Map();
  /** Requests under way by id. @type {Map<number, Request>} */ #requests = new Map();
  /** Requests that wait for a connection. @type {Request[]} */ #waiting = [];
  #state = 'connecting';
  #lastId = 0;
  #attempt = 0;
  #readyAt = 0;
  #heardAt = 0;
  #resume = undefined;
  /** The `d` of a `bye` event on this connection. @type {any} */ #bye = null;
  /** @type {any} */ #timer = null;
  /** @type {any} */ #watch = null;
  #lifetime = new AbortController();

  /** Reply to the last `hello`: user, sid, limits, ack, ping_ms … @type {any} */
  session = null;

  constructor(options) {
    this.#options = options;
    const { signal } = this.#lifetime;
    options.signal?.addEventListener('abort', () => this.close(), { signal });
    globalThis.addEventListener?.('online', () => this.retry(), { signal });
    if (options.signal?.aborted) this.close();
    else this.#open();
  }

  // ---- What a program calls ---------------------------------------------------------------------

  /** `connecting`, `open`, `waiting` or `closed`. */
  get state() {
    return this.#state;
  }

  /** Names of the rooms that are joined or being joined. */
  get rooms() {
    return [...this.#rooms.keys()];
  }

  /** Position (epoch, offset) in a room, or null before the first answer. */
  position(room) {
    const { e, o } = this.#rooms.get(room) ?? {};
    return o === undefined ? null : { e, o };
  }

  /** Calls `listener` for each event of a type, `*` for all. Returns the function that ends it. */
  on(type, listener, { signal = undefined } = {}) {
    const set = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, set.add(listener));
    const off = () => void set.delete(listener);
    signal?.addEventListener('abort', off, { once: true });
    return off;
  }

  /** Attaches to a room; events follow. Joining twice answers with the first answer. */
  join(room, options = {}) {
    const known = this.#rooms.get(room);
    if (known?.joining) return known.joining.promise;
    const entry = new Room(room, options);
    entry.joining = deferred();
    this.#rooms.set(room, entry);
    if (this.#state === 'closed') entry.joining.reject(this.#ended());
    else if (this.#state === 'open') this.#attach(entry);
    return entry.joining.promise;
  }

  /** Detaches from a room; `member: true` also ends the durable membership. */
  async leave(room, { member = false } = {}) {
    const entry = this.#rooms.get(room);
    if (!entry) return;
    this.#forget(entry, new RingpostError({ code: 411, name: 'not_joined', msg: 'left the room' }));
    if (this.#state === 'open' || member) await this.#ask('leave', room, member ? { member } : {});
  }

  /**
   * Sends a text, or to a WhatsApp contact a `content` with an empty text; a `note` stays in the
   * room. Resolves with `{o, ts, dup}` when the server has it as safe as its policy says.
   * Works offline too: the message waits in the outbox.
   */
  send(room, text, { cid = newCid(), signal = undefined, reply, content, note } = {}) {
    const entry = this.#rooms.get(room);
    const done = deferred();
    if (!entry || this.#state === 'closed') {
      done.reject(entry ? this.#ended() : new RingpostError({ code: 411, name: 'not_joined' }));
      return done.promise;
    }
    const outgoing = { d: { cid, text, reply, content, note }, done, sentAt: 0 };
    entry.outbox.push(outgoing);
    entry.typedAt = -Infinity;
    onAbort(signal, () => {
      // What is under way may have arrived: only what waits can be taken back.
      if (entry.outbox[0] === outgoing && entry.sending) return;
      entry.outbox = entry.outbox.filter((other) => other !== outgoing);
      done.reject(signal?.reason);
    });
    this.#flush(entry);
    return done.promise;
  }

  /** Replaces the text of one's own message. */
  edit(room, o, text, { signal = undefined } = {}) {
    return this.#ask('edit', room, { o, text }, signal);
  }

  /** Deletes a message. */
  delete(room, o, { signal = undefined } = {}) {
    return this.#ask('delete', room, { o }, signal);
  }

  /** A page of messages, oldest first: one of `before`, `after`, `around`; none is the newest. */
  history(room, { before, after, around, limit, signal } = /** @type {any} */ ({})) {
    return this.#ask('history', room, { before, after, around, limit }, signal);
  }

  /** Tells the room that the user types; call it on every key, it throttles itself. */
  typing(room) {
    const entry = this.#rooms.get(room);
    if (!entry?.attached || this.#state !== 'open') return;
    if (Date.now() - entry.typedAt < TYPING_THROTTLE_MS) return;
    entry.typedAt = Date.now();
    this.#transmit({ t: 'typing', room });
  }

  /** Moves the user's watermarks; what is behind the last told ones is not sent. */
  async mark(room, { recv = 0, read = 0 }) {
    const entry = this.#rooms.get(room);
    if (!entry) return;
    const want = {
      recv: Math.max(recv, read, entry.marks.recv),
      read: Math.max(read, entry.marks.read),
    };
    if (want.recv === entry.marks.recv && want.read === entry.marks.read) return;
    entry.marks = want;
    await this.#ask('mark', room, want);
  }

  /** Users present in the room. */
  who(room, { after, limit, signal } = /** @type {any} */ ({})) {
    return this.#ask('who', room, { after, limit }, signal);
  }

  /** Sets the own status (`{state, text}`) or asks for others (`{users}`). */
  status(d, { signal = undefined } = {}) {
    return this.#ask('status', undefined, d, signal);
  }

  /** Runs a command in a room; results come as `cmd` events. */
  cmd(room, name, text = '', { signal = undefined } = {}) {
    return this.#ask('cmd', room, { name, text }, signal);
  }

  /** Commands whose names begin with `prefix`. */
  cmds(room, prefix = '', { signal = undefined } = {}) {
    return this.#ask('cmds', room, { prefix }, signal);
  }

  /** Ends a wait for the next attempt at once. */
  retry() {
    if (this.#state !== 'waiting') return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Says goodbye and stays closed. What was not acknowledged is rejected. */
  close() {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.#transmit({ t: 'bye' });
    const socket = this.#socket;
    this.#finish({ code: 1000, reason: 'closed by this program' });
    socket?.close(1000);
  }

  // ---- Life of a connection ---------------------------------------------------------------------

  async #open() {
    this.#become('connecting');
    this.#timer = setTimeout(() => this.#abandon('no answer to hello'), HELLO_TIMEOUT_MS);
    let { token } = this.#options;
    if (typeof token === 'function') {
      const mine = this.#timer;
      try {
        token = await token();
      } catch (error) {
        if (this.#timer === mine) this.#lost(1006, `no token: ${error}`);
        return;
      }
      if (this.#timer !== mine) return;
    }
    const { url = defaultUrl(), WebSocket: Socket = globalThis.WebSocket } = this.#options;
    const socket = new Socket(url, PROTOCOL);
    this.#socket = socket;
    this.#bye = null;
    socket.onopen = () => socket === this.#socket && this.#hello(token);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
  }

  #hello(token) {
    const { user, device, client, quiet } = this.#options;
    const rooms = {};
    for (const room of this.#rooms.values()) rooms[room.name] = room.wish();
    const d = {
      user: token ? undefined : user,
      token,
      device,
      client,
      quiet,
      resume: this.#resume,
      rooms,
    };
    this.#submit({
      verb: 'hello',
      d,
      resolve: (reply) => this.#ready(reply),
      reject: (/** @type {RingpostError} */ error) => this.#refused(error),
    });
  }

  #ready(reply) {
    clearTimeout(this.#timer);
    this.session = reply;
    this.#resume = reply.resume;
    this.#readyAt = Date.now();
    const named = reply.rooms ?? {};
    // Whoever hears of the new state may join or leave rooms at once, which looks after itself.
    const rooms = [...this.#rooms.values()];
    this.#become('open');
    this.#listen();
    for (const room of rooms) {
      if (this.#rooms.get(room.name) !== room) continue;
      const answer = named[room.name];
      if (!answer) this.#attach(room);
      else if (answer.err) this.#lose(room, new RingpostError(answer.err));
      else this.#attached(room, answer);
    }
    for (const request of this.#waiting.splice(0)) this.#submit(request);
  }

  /** The server refused `hello`: whether to come again is told by the error. */
  #refused(error) {
    const renewable = error.code === 402 && typeof this.#options.token === 'function';
    const again = renewable || error.retry;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    if (again)
      this.#wait(error.after_ms ?? this.#backoff(), { code: error.code, reason: error.reason });
    else this.#finish({ code: error.code, reason: error.reason, msg: error.message });
  }

  /** The socket is gone; the close code says what to do (docs/PROTOCOL.md, "Close codes"). */
  #lost(code, reason) {
    const bye = this.#bye ?? {};
    this.#socket = null;
    if (code === 1005 || code === 1006) code = bye.code ?? code;
    const why = { code, reason: bye.reason || reason || '' };
    const hundreds = Math.floor(code / 100);
    const renewable = hundreds === 42 && typeof this.#options.token === 'function';
    const final = CLOSE_FINAL.has(code) || hundreds >= 44 || (hundreds === 42 && !renewable);
    if (final || (bye.reconnect === false && !renewable)) return this.#finish(why);
    if (this.#readyAt && Date.now() - this.#readyAt >= STABLE_MS) this.#attempt = 0;
    const told = bye.after_ms > 0 && bye.after_ms * this.#random();
    const atOnce = (hundreds === 40 || renewable) && this.#attempt === 0;
    this.#wait(told || (atOnce ? BACKOFF_MS_MIN * this.#random() : this.#backoff()), why);
  }

  #wait(delay_ms, why) {
    this.#drop();
    this.#attempt += 1;
    this.#become('waiting', { delay_ms: Math.round(delay_ms), attempt: this.#attempt, ...why });
    this.#timer = setTimeout(() => this.#open(), delay_ms);
  }

  /** Full jitter: anything between nothing and the bound, so that a crowd spreads. */
  #backoff() {
    return (
      this.#random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(this.#attempt, 10))
    );
  }

  #random() {
    return (this.#options.random ?? Math.random)();
  }

  /** Treats a socket that says nothing as gone, without waiting for the system to notice. */
  #abandon(reason) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#lost(1006, reason);
  }

  /** Takes back what was under way: sends stay in their outbox, questions are asked again. */
  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#readyAt = 0;
    for (const room of this.#rooms.values()) {
      room.attached = room.sending = false;
      clearTimeout(room.pause);
      room.pause = null;
    }
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) {
      if (REPEATABLE.has(request.verb)) this.#waiting.push(request);
      else if (request.verb === 'cmd') request.reject(this.#ended('the connection was lost'));
      else if (request.verb === 'leave') request.resolve({});
    }
  }

  #finish(why) {
    this.#socket = null;
    this.#drop();
    this.#become('closed', why);
    this.#lifetime.abort();
    const error = this.#ended(why.msg || why.reason);
    for (const request of this.#waiting.splice(0)) request.reject(error);
    for (const room of this.#rooms.values()) this.#forget(room, error);
  }

  #ended(msg = 'the connection is closed') {
    return new RingpostError({ code: 0, name: 'closed', msg });
  }

  /** A half-open socket looks alive: after silence ask, and give up when nothing comes. */
  #listen() {
    const { ping_ms = 25_000, pong_ms = 8_000 } = this.session;
    const quiet_ms = ping_ms + pong_ms;
    const check = () => {
      const silent_ms = Date.now() - this.#heardAt;
      if (silent_ms < quiet_ms) {
        this.#watch = setTimeout(check, quiet_ms - silent_ms);
      } else if (silent_ms < quiet_ms + pong_ms) {
        this.#submit({ verb: 'pong', resolve() {}, reject() {} });
        this.#watch = setTimeout(check, quiet_ms + pong_ms - silent_ms);
      } else {
        this.#abandon('silence');
      }
    };
    clearTimeout(this.#watch);
    this.#watch = setTimeout(check, quiet_ms);
  }

  // ---- Rooms ------------------------------------------------------------------------------------

  #attach(room) {
    const settle = (/** @type {any} */ answer) => this.#rooms.get(room.name) === room && answer();
    this.#submit({
      verb: 'join',
      room: room.name,
      d: room.wish(),
      resolve: (d) => settle(() => this.#attached(room, d)),
      reject: (/** @type {RingpostError} */ error) => settle(() => this.#lose(room, error)),
    });
  }

  #attached(room, d) {
    const before = room.o;
    room.e = d.e;
    room.attached = true;
    if (before === undefined) {
      room.o = room.last && d.n > 0 ? d.from - 1 : d.o;
      room.joining?.resolve(d);
    }
    room.replayTo = d.recovered ? d.o : 0;
    this.#emit({ t: 'joined', room: room.name, d });
    if (before !== undefined) this.#resumed(room, before, d);
    this.#flush(room);
  }

  /** A room continues at a position: say how that went. */
  #resumed(room, before, d) {
    if (d.recovered) {
      this.#emit({ t: 'recovered', room: room.name, d: { n: d.n, o: d.o } });
      return;
    }
    room.o = d.o;
    const from = (d.back_to ?? before) + 1;
    if (d.back_to !== undefined) {
      this.#emit({ t: 'rolled_back', room: room.name, d: { back_to: d.back_to, o: before } });
    }
    if (from <= d.o) this.#emit({ t: 'gap', room: room.name, d: { from, to: d.o } });
  }

  /** The server does not let us into a room. */
  #lose(room, error) {
    this.#forget(room, error);
    this.#emit({ t: 'lost', room: room.name, d: { error } });
  }

  #forget(room, error) {
    clearTimeout(room.pause);
    this.#rooms.delete(room.name);
    // A join that was answered is settled: a second verdict changes nothing.
    room.joining?.reject(error);
    for (const { done } of room.outbox.splice(0)) done.reject(error);
  }

  /** Puts the next message of a room on its way. */
  #flush(room) {
    const next = room.outbox[0];
    const replaying = (room.o ?? 0) < room.replayTo;
    if (!next || room.sending || room.pause || !room.attached || replaying) return;
    if (this.#state !== 'open') return;
    room.sending = true;
    next.sentAt ||= Date.now();
    const settle = (/** @type {() => void} */ verdict) => {
      room.sending = false;
      room.outbox.shift();
      verdict();
      this.#flush(room);
    };
    this.#submit({
      verb: 'send',
      room: room.name,
      d: next.d,
      resolve: (d) => settle(() => next.done.resolve(d)),
      reject: (/** @type {RingpostError} */ error) => {
        if (!error.retry) return settle(() => next.done.reject(error));
        room.sending = false;
        room.pause = setTimeout(() => {
          room.pause = null;
          this.#flush(room);
        }, error.after_ms ?? RETRY_MS);
      },
    });
  }

  // ---- Frames -----------------------------------------------------------------------------------

  #ask(verb, room, d, signal = undefined) {
    const { promise, resolve, reject } = deferred();
    const request = { verb, room, d, resolve, reject };
    onAbort(signal, () => {
      this.#waiting = this.#waiting.filter((other) => other !== request);
      reject(signal.reason);
    });
    if (this.#state === 'closed') reject(this.#ended());
    else if (this.#state === 'open') this.#submit(request);
    else this.#waiting.push(request);
    return promise;
  }

  #submit(request) {
    const id = ++this.#lastId;
    this.#requests.set(id, request);
    this.#transmit({ t: request.verb, id, room: request.room, d: request.d });
  }

  #transmit(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }

  #receive(data) {
    this.#heardAt = Date.now();
    const frame = JSON.parse(data);
    if (frame.t !== 'ok' && frame.t !== 'err') return this.#event(frame);
    const request = this.#requests.get(frame.id);
    this.#requests.delete(frame.id);
    if (frame.t === 'ok') request?.resolve(frame.d ?? {});
    else if (request) request.reject(new RingpostError(frame.d));
    else this.#emit(frame);
  }

  #event(frame) {
    const room = this.#rooms.get(frame.room);
    if (frame.t === 'ping') return this.#transmit({ t: 'pong' });
    if (frame.t === 'bye') this.#bye = frame.d;
    if (frame.t === 'gap' && room) room.o = Math.max(room.o ?? 0, frame.d.to);
    if (frame.o === undefined) return this.#emit(frame);
    // Late events of a room that was left, and what a resume shows again, are not news.
    if (room?.o === undefined || frame.o <= room.o) return;
    if (frame.o > room.o + 1) {
      this.#emit({ t: 'gap', room: room.name, d: { from: room.o + 1, to: frame.o - 1 } });
    }
    room.o = frame.o;
    if (frame.t === 'msg') this.#recognise(room, frame);
    this.#emit(frame);
    this.#flush(room);
  }

  /**
   * A message that was sent on an earlier connection, longer ago than the server remembers its
   * `cid`, must not be sent again when the replay shows that it had arrived.
   */
  #recognise(room, { o, ts, d }) {
    const old = room.outbox[0];
    if (!old || room.sending || old.d.cid !== d.cid || d.from !== this.session.user) return;
    if (!old.sentAt || Date.now() - old.sentAt < CID_TRUST_MS) return;
    room.outbox.shift();
    old.done.resolve({ o, ts, dup: true });
  }

  #become(state, d = {}) {
    this.#state = state;
    this.#emit({ t: 'state', d: { state, ...d } });
  }

  #emit(event) {
    for (const type of [event.t, '*']) {
      for (const listener of this.#listeners.get(type) ?? []) {
        try {
          listener(event);
        } catch (error) {
          // A listener's fault is its own: it must not cost the room its position.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    }
  }
}

/** @typedef {{promise: Promise<any>, resolve: Function, reject: Function}} Deferred */
/**
 * @typedef {{d: {cid: string, text: string, reply?: number}, done: Deferred, sentAt: number}}
 *   Outgoing
 * @typedef {{verb: string, room?: string, d?: any, resolve: Function, reject: Function}} Request
 */

/** @returns {Deferred} */
function deferred() {
  /** @type {any} */ let settle;
  const promise = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Who does not look at a promise is not to be ended by it; `await` still throws.
  promise.catch(() => {});
  return { promise, ...settle };
}

function onAbort(signal, act) {
  if (signal?.aborted) queueMicrotask(act);
  else signal?.addEventListener('abort', act, { once: true });
}

/** Time first, so that ids sort; 80 random bits, so that they do not meet. */
function newCid() {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  const random = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${Date.now().toString(36)}-${random}`;
}

function defaultUrl() {
  const url = new URL('ws', document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}
