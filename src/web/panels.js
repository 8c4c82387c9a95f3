// @ts-check
/** Draws what surrounds the messages: the list of rooms, the head, the people. */

import { ago, el, hue, initials, listed, plain } from './text.js';
import { badge } from './timeline.js';

/** The list of rooms, the one with the newest message first. */
export function drawRooms(view, rooms, current) {
  const newest = (room) => room.last?.ts ?? 0;
  const sorted = [...rooms.values()].sort((a, b) => newest(b) - newest(a));
  const focused = /** @type {any} */ (document.activeElement)?.dataset?.room;
  view.rooms.replaceChildren(...sorted.map((room) => roomEntry(room, room === current)));
  if (focused) view.rooms.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function roomEntry(room, chosen) {
  const { last, unread } = room;
  const title = plain(room.title);
  const who =
    last &&
    (last.from === room.me ? 'You: ' : room.isWhatsApp ? '' : `${plain(last.name || last.from)}: `);
  const button = el(
    'button',
    { type: 'button' },
    el(
      `span.avatar.${hue(room.name)}`,
      { ariaHidden: 'true' },
      room.isWhatsApp ? initials(title) : '#',
    ),
    el('span.name', { dir: 'auto' }, title),
    el('time', {}, last ? ago(last.ts) : ''),
    el(
      'span.last',
      {},
      ...(room.isWhatsApp ? badge('whatsapp') : []),
      last ? who + plain(last.text).slice(0, 80) : 'No messages yet',
    ),
  );
  if (unread)
    button.append(
      el('span.unread', { ariaLabel: `${unread} unread` }, unread > 99 ? '99+' : `${unread}`),
    );
  button.dataset.room = room.name;
  if (chosen) button.setAttribute('aria-current', 'true');
  button.classList.toggle('has-unread', unread > 0);
  return el('li', {}, button);
}

export function drawHead(view, current) {
  view.title.replaceChildren(
    plain(current?.title ?? 'ringpost'),
    ...(current?.isWhatsApp ? badge('whatsapp') : []),
  );
  const number = current?.isWhatsApp && current.contact ? `+${current.name.split(':').at(-1)}` : '';
  view.topic.textContent = plain(current?.topic || number);
  view.count.textContent = current?.presentCount ? String(current.presentCount) : '';
  view.leave.hidden = view['people-toggle'].hidden = !current;
  view.composer.hidden = !current;
}

/** The line above the oldest message. */
export function drawEdge(view, current) {
  const empty = current && current.items.length === 0 && current.pending.size === 0;
  const text = !current
    ? 'Join a room to start.'
    : current.more
      ? 'Loading earlier messages…'
      : empty
        ? 'Nothing here yet. Say hello!'
        : 'This is where the room begins.';
  if (view.edge.textContent !== text) view.edge.textContent = text;
}

export function drawTyping(view, current) {
  const names = [...(current?.typing ?? [])]
    .filter(([, until]) => until > Date.now())
    .map(([user]) => plain(user));
  view.typing.textContent = names.length
    ? `${listed(names)} ${names.length > 1 ? 'are' : 'is'} typing…`
    : '';
}

export function drawPeople(view, current) {
  const shown = [...(current?.present ?? [])].sort(([a], [b]) => a.localeCompare(b));
  const entries = shown.map(([user, { state = 'online', text }]) =>
    el(
      'li',
      {},
      el(`span.avatar.${hue(user)}`, { ariaHidden: 'true' }, initials(user)),
      el(
        'span.name',
        { dir: 'auto' },
        plain(user),
        ...(user === current.me ? [el('small', {}, ' you')] : []),
      ),
      el(`span.dot.${/^(away|dnd)$/.test(state) ? state : 'online'}`, {
        role: 'img',
        ariaLabel: state,
      }),
      ...(text ? [el('span.last', { dir: 'auto' }, plain(text))] : []),
    ),
  );
  const rest = (current?.presentCount ?? 0) - shown.length;
  if (rest > 0) entries.push(el('li.rest', {}, `and ${rest} more`));
  view.present.replaceChildren(...entries);
}
