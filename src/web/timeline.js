// @ts-check
/** Draws a room's messages: keyed, so that what did not change keeps its element and its focus. */

import {
  clock,
  dayLabel,
  dayOf,
  el,
  hue,
  icon,
  initials,
  isEmoji,
  listed,
  moment,
  pieces,
  plain,
} from './text.js';

/** Messages of one author within this time form a group. */
const GROUP_MS = 5 * 60_000;

const RECEIPTS = {
  pending: ['○', 'On its way'],
  stored: ['✓', 'Stored by the server'],
  received: ['✓✓', 'Received'],
  read: ['✓✓', 'Read'],
  failed: ['!', 'Not sent'],
};

export class Timeline {
  /** Elements by key, each with the signature it was drawn from. */
  #drawn = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(o: number) => void} wantQuote called for a quoted message that is not in memory
   */
  constructor(list, wantQuote) {
    this.list = list;
    this.wantQuote = wantQuote;
    /** Texts of quoted messages outside memory. @type {Map<number, any>} */
    this.quotes = new Map();
  }

  /** Another room: nothing drawn is of use. */
  clear() {
    this.#drawn.clear();
    this.quotes.clear();
    this.list.replaceChildren();
  }

  /** @param {import('./room.js').RoomModel} room */
  draw(room) {
    const seen = new Set();
    let at = this.list.firstChild;
    for (const [key, signature, make] of this.#plan(room)) {
      seen.add(key);
      let entry = this.#drawn.get(key);
      if (entry?.signature !== signature) {
        const node = make();
        if (entry) {
          if (at === entry.node) at = node;
          entry.node.replaceWith(node);
        }
        entry = { signature, node };
        this.#drawn.set(key, entry);
      }
      if (entry.node === at) at = entry.node.nextSibling;
      else this.list.insertBefore(entry.node, at);
    }
    for (const [key, { node }] of this.#drawn) {
      if (seen.has(key)) continue;
      node.remove();
      this.#drawn.delete(key);
    }
  }

  /**
   * What should stand in the list: key, what the look depends on, and how to make it.
   * @returns {Generator<[string, string, () => HTMLElement]>}
   */
  *#plan(room) {
    let before = null;
    let divided = false;
    for (const item of [...room.items, ...room.pending.values()]) {
      const day = dayOf(item.ts);
      if (!before || dayOf(before.ts) !== day) {
        yield [`day${day}`, dayLabel(item.ts), () => divider('day', dayLabel(item.ts))];
        before = null;
      }
      if (
        !divided &&
        room.divider !== undefined &&
        item.o > room.divider &&
        item.from !== room.me
      ) {
        yield ['new', '', () => divider('new', 'New')];
        divided = true;
        before = null;
      }
      const first = !follows(before, item);
      yield item.kind === 'msg' ? this.#message(room, item, first) : line(item);
      before = item;
    }
  }

  /** @returns {[string, string, () => HTMLElement]} */
  #message(room, item, first) {
    const mine = item.from === room.me;
    const { state, readers } = mine ? room.receipt(item) : { state: '', readers: [] };
    const quoted = item.reply ? this.#quoted(room, item.reply) : null;
    const may = { mine, moderate: mine || ['owner', 'moderator', 'admin'].includes(room.role) };
    const signature = JSON.stringify([
      first,
      item.v,
      item.deleted,
      item.text,
      item.name,
      state,
      readers.length,
      item.why,
      quoted,
      may.moderate,
    ]);
    // The cid outlives the step from pending to shown, so the element stays in its place.
    const key = mine && item.cid ? `c${item.cid}` : `o${item.o}`;
    return [key, signature, () => bubble(item, { first, mine, state, readers, quoted, may })];
  }

  #quoted(room, o) {
    const item = room.message(o) ?? this.quotes.get(o);
    if (!item) {
      this.wantQuote(o);
      return { from: '', text: '…' };
    }
    return { from: item.name || item.from, text: item.deleted ? 'Deleted message' : item.text };
  }
}

function follows(before, item) {
  if (before?.kind !== 'msg' || item.kind !== 'msg') return false;
  return before.from === item.from && item.ts - before.ts < GROUP_MS && !item.reply;
}

function divider(kind, text) {
  return el(`li.${kind}`, { role: 'separator' }, el('span', {}, text));
}

/** @returns {[string, string, () => HTMLElement]} */
function line(item) {
  const key = `k${item.key}`;
  const text = plain(item.text);
  if (item.kind === 'line')
    return [key, text, () => el('li.line', { title: moment(item.ts) }, text)];
  return [key, text, () => el(`li.card.${item.kind}`, {}, ...linked(text))];
}

function bubble(item, { first, mine, state, readers, quoted, may }) {
  const name = plain(item.name || item.from);
  const text = plain(item.text);
  const node = el('li.msg', { tabIndex: -1 });
  node.dataset.o = item.o ?? '';
  node.dataset.cid = item.cid ?? '';
  node.classList.toggle('first', first);
  node.classList.toggle('mine', mine);
  node.classList.toggle('emoji', !item.deleted && isEmoji(text));
  if (state) node.classList.add(state);
  const inner = el('div.bubble');
  if (first && !mine) {
    inner.append(el(`div.who.${hue(item.from)}`, { dir: 'auto' }, name, ...badge(item.src)));
  }
  if (quoted) inner.append(quote(item.reply, quoted));
  if (item.deleted) inner.append(el('div.text.gone', {}, 'Message deleted'));
  else inner.append(el('div.text', { dir: 'auto' }, ...linked(text)));
  inner.append(meta(item, state, readers));
  const avatar = el(
    `span.avatar.${hue(item.from)}`,
    { ariaHidden: 'true' },
    first ? initials(name) : '',
  );
  node.append(...(mine ? [] : [avatar]), inner, tools(item, may, state));
  return node;
}

/** Where a message came from, unless it is the ordinary way. */
export function badge(src) {
  const names = {
    whatsapp: 'WhatsApp',
    command: 'command',
    handler: 'bot',
    api: 'API',
    system: 'system',
  };
  return names[src] ? [el(`span.badge.${src}`, {}, names[src])] : [];
}

function linked(text) {
  return pieces(text).map(({ text: shown, href }) =>
    href ? el('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, shown) : shown,
  );
}

function quote(o, { from, text }) {
  const node = el('button.quote', { type: 'button', title: 'Show this message' });
  node.dataset.act = 'show';
  node.dataset.of = o;
  if (from) node.classList.add(hue(from));
  node.append(el('b', {}, plain(from)), el('span', { dir: 'auto' }, plain(text).slice(0, 200)));
  return node;
}

function meta(item, state, readers) {
  const time = el(
    'time',
    { dateTime: new Date(item.ts).toISOString(), title: moment(item.ts) },
    clock(item.ts),
  );
  const node = el('span.meta', {}, time);
  if (item.edited && !item.deleted)
    node.append(el('span', { title: moment(item.edited) }, 'edited'));
  if (item.dir === 'internal' && item.src === 'ws')
    node.append(el('span', { title: 'The contact does not see this' }, 'note'));
  if (item.status && !item.deleted) {
    const title = item.error ? `WhatsApp error ${item.error}` : 'On its way to the contact';
    node.append(el('span', { title }, plain(item.status)));
  }
  if (state) {
    const [sign, words] = RECEIPTS[state];
    const title = readers.length ? `Read by ${listed(readers)}` : item.why || words;
    node.append(el('span.receipt', { title, role: 'img', ariaLabel: title }, sign));
  }
  if (state === 'failed') {
    node.append(
      el('span.why', {}, plain(item.why)),
      action('again', 'Send again'),
      action('drop', 'Discard'),
    );
  }
  return node;
}

function tools(item, may, state) {
  const node = el('div.tools');
  if (item.deleted || state === 'failed' || item.o === undefined) return node;
  node.append(action('reply', 'Reply', 'reply'));
  if (may.mine) node.append(action('edit', 'Edit', 'edit'));
  if (may.moderate) node.append(action('delete', 'Delete', 'delete'));
  return node;
}

function action(act, label, sign = '') {
  const node = el(sign ? 'button.icon' : 'button.text-button', { type: 'button' });
  node.dataset.act = act;
  if (sign) Object.assign(node, { title: label, ariaLabel: label });
  node.append(sign ? icon(sign) : label);
  return node;
}
