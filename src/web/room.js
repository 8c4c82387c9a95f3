// @ts-check
/**
 * What the console knows of one room. Pure: no page, no clock, no connection.
 *
 * `items` are in the order of `key`: the offset of a durable event; for what has none (answers of
 * commands) a fraction above the offset it came after.
 */

/** Messages kept in memory while the reader is at the end. */
const ITEMS_MAX = 600;
const ITEMS_KEPT = 400;

export class RoomModel {
  /** @param {string} name @param {string} me @param {number|undefined} readTo */
  constructor(name, me, readTo) {
    this.name = name;
    this.me = me;
    /** @type {any[]} */
    this.items = [];
    /** Own messages that the room has not shown yet, by cid, in order. @type {Map<string, any>} */
    this.pending = new Map();
    /** Own messages that the room shows but the server has not acknowledged. */
    this.unacked = new Set();
    /** Edits and deletions seen, for messages loaded after them. @type {Map<number, any>} */
    this.patches = new Map();
    /** @type {Map<string, {recv: number, read: number}>} */
    this.marks = new Map();
    /** @type {Map<string, {state?: string, text?: string}>} */
    this.present = new Map();
    /** How many are present; more than `present` holds in a crowded room. */
    this.presentCount = 0;
    /** Who types, until when. @type {Map<string, number>} */
    this.typing = new Map();
    this.topic = '';
    this.role = '';
    /** Offset of the newest event, in memory or not. */
    this.top = 0;
    /** The reader has seen all up to here; undefined until known. */
    this.readTo = readTo;
    /** The line "new" is drawn after this offset. @type {number|undefined} */
    this.divider = undefined;
    /** Are there older messages on the server? */
    this.more = false;
    /** The contact's name, where the room is one person on WhatsApp. */
    this.contact = '';
    this.draft = '';
  }

  /** The room is attached; `d` is the answer to the join. */
  joined(d) {
    this.topic = d.topic ?? this.topic;
    this.role = d.role ?? this.role;
    this.presentCount = d.present ?? this.presentCount;
    this.readTo ??= d.o;
    this.top = Math.max(this.top, d.o);
    if (this.items.length === 0) this.more = (d.n > 0 ? d.from : d.o + 1) > 1;
  }

  get isWhatsApp() {
    return this.name.startsWith('wa:');
  }

  /** What a person would call the room. */
  get title() {
    if (!this.isWhatsApp) return this.name;
    return this.contact || `+${this.name.split(':').at(-1)}`;
  }

  /** Messages of others that were not read. */
  get unread() {
    const from = this.readTo ?? Infinity;
    return this.items.filter(
      ({ kind, o, from: by }) => kind === 'msg' && o > from && by !== this.me,
    ).length;
  }

  /** The newest message, for the list of rooms. */
  get last() {
    return this.items.findLast(({ kind, deleted }) => kind === 'msg' && !deleted);
  }

  message(o) {
    return this.items.find((item) => item.kind === 'msg' && item.o === o);
  }

  /** The newest own message that can be edited. */
  get lastOwn() {
    return this.items.findLast(
      ({ kind, from, deleted }) => kind === 'msg' && from === this.me && !deleted,
    );
  }

  /** A durable event, live or replayed. */
  apply({ t, o, ts, d }) {
    this.top = Math.max(this.top, o);
    if (t === 'msg') this.#insert({ o, ts, d });
    else if (t === 'edit') this.#patch(d.of, { text: d.text, v: d.v, edited: ts });
    else if (t === 'delete') this.#patch(d.of, { deleted: true, text: '' });
    else this.#line(o, ts, t, d);
  }

  #insert({ o, ts, d }) {
    this.typing.delete(d.from);
    const item = { kind: 'msg', key: o, o, ts, ...d, ...this.patches.get(o) };
    if (d.src === 'whatsapp' && d.name) this.contact = d.name;
    if (d.from === this.me && this.pending.delete(d.cid)) this.unacked.add(d.cid);
    this.#place(item);
  }

  #patch(of, change) {
    this.patches.set(of, { ...this.patches.get(of), ...change });
    const item = this.message(of);
    if (item) Object.assign(item, change);
  }

  /** How far a message to a contact is. */
  delivered({ of, status, error }) {
    if (of !== undefined) this.#patch(of, { status, error });
  }

  #line(o, ts, t, d) {
    if (t === 'room' && d.topic !== undefined) this.topic = d.topic;
    const text = t === 'room' ? roomLine(d) : memberLine(d);
    this.#place({ kind: 'line', key: o, o, ts, text });
  }

  /** Puts an item at its place; one that is there already is replaced. */
  #place(item) {
    let at = this.items.length;
    while (at > 0 && this.items[at - 1].key >= item.key) at -= 1;
    const same = this.items[at]?.key === item.key ? 1 : 0;
    this.items.splice(at, same, item);
  }

  /** Something that only this reader sees, such as the answer to a command. */
  card(kind, text, ts) {
    const last = this.items.at(-1)?.key ?? 0;
    this.#place({ kind, key: Math.max(last, this.top) + 2 ** -20, o: undefined, ts, text });
  }

  /** A page of history, older than what is here or around it. */
  page({ msgs, more }, { older }) {
    for (const { o, ts, d } of msgs) this.#insert({ o, ts, d });
    if (older) this.more = more;
  }

  /** After a gap: what lies up to the page's end is what the page says. */
  reset(page) {
    this.items = this.items.filter(({ o }) => o === undefined || o > page.top);
    this.page(page, { older: true });
    this.top = Math.max(this.top, page.top);
  }

  /** The server lost what it had shown beyond an offset. Returns how many messages went. */
  rollBack(backTo) {
    const gone = this.items.filter(({ kind, o }) => kind === 'msg' && o > backTo);
    this.items = this.items.filter(({ o }) => o === undefined || o <= backTo);
    // Offsets of another life of the room: patches and marks may name events that are gone.
    this.patches.clear();
    this.top = backTo;
    if (this.readTo !== undefined) this.readTo = Math.min(this.readTo, backTo);
    return gone.length;
  }

  /** Own message on its way. */
  sending(cid, text, reply, ts) {
    this.pending.set(cid, { kind: 'msg', cid, text, reply, ts, from: this.me, state: 'pending' });
  }

  acknowledged(cid) {
    this.pending.delete(cid);
    this.unacked.delete(cid);
  }

  failed(cid, why) {
    const item = this.pending.get(cid);
    if (item) Object.assign(item, { state: 'failed', why });
    return item !== undefined;
  }

  /** `presence` event: names may come alone or with a status. */
  presence({ n, join = [], leave = [], status = [] }) {
    for (const who of join) this.#here(who);
    for (const who of leave) this.present.delete(who.user ?? who);
    for (const who of status) this.#here(who);
    this.presentCount = n ?? this.present.size;
  }

  #here(who) {
    const user = who.user ?? who;
    const { state, text } = who.user ? who : (this.present.get(user) ?? {});
    this.present.set(user, { state, text });
  }

  /** Answer to `who`: the roster and the watermarks. */
  roster({ users, n }) {
    this.present = new Map(users.map(({ user, state, text }) => [user, { state, text }]));
    this.presentCount = n;
    this.marked(users);
  }

  /** Watermarks never go back. */
  marked(marks) {
    for (const { user, recv = 0, read = 0 } of marks) {
      const old = this.marks.get(user) ?? { recv: 0, read: 0 };
      this.marks.set(user, { recv: Math.max(old.recv, recv), read: Math.max(old.read, read) });
      if (user === this.me && this.readTo !== undefined) this.readTo = Math.max(this.readTo, read);
    }
  }

  /** How far an own message got: state and those who read it. */
  receipt(item) {
    if (item.state) return { state: item.state, readers: [] };
    if (this.unacked.has(item.cid)) return { state: 'pending', readers: [] };
    const others = [...this.marks].filter(([user]) => user !== this.me);
    const readers = others.filter(([, { read }]) => read >= item.o).map(([user]) => user);
    if (readers.length) return { state: 'read', readers };
    const received = others.some(([, { recv }]) => recv >= item.o);
    return { state: received ? 'received' : 'stored', readers };
  }

  /** Forgets old items while the reader looks at the end; history brings them back. */
  trim() {
    if (this.items.length <= ITEMS_MAX) return;
    this.items = this.items.slice(-ITEMS_KEPT);
    this.more = true;
  }
}

function roomLine({ by, topic, access }) {
  if (topic !== undefined)
    return topic ? `${by} set the topic: ${topic}` : `${by} removed the topic`;
  return `${by} made the room ${access}`;
}

function memberLine({ user, by, action, role }) {
  if (action === 'join')
    return by && by !== user ? `${by} added ${user}` : `${user} became a member`;
  if (action === 'leave')
    return by && by !== user ? `${by} removed ${user}` : `${user} left the room`;
  return `${by} made ${user} ${role}`;
}
