// @ts-check
/** How names, times and texts are shown. Strangers' text reaches the page as text nodes only. */

const HUES = 12;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Control characters and direction overrides, which could make a text look like another. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
const LINK = /https?:\/\/[^\s<>"]+/gi;
/** Signs that end a sentence rather than a link. */
const TAIL = /[.,;:!?'’”)\]}*_]+$/;

/** A stranger's text without characters that deceive. */
export function plain(text) {
  return String(text ?? '').replace(UNSAFE, '\ufffd');
}

/** The class that colours a name: the same name has the same colour everywhere. */
export function hue(name) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  }
  return `h${((hash ^ (hash >>> 15)) >>> 0) % HUES}`;
}

/** One or two letters for an avatar. */
export function initials(name) {
  const words = plain(name)
    .replace(/^wa:/, '')
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...(word ?? '')][0].toUpperCase()).join('') || '?';
}

/**
 * Cuts a text into plain pieces and links. Only http and https, and only what the browser's own
 * parser accepts.
 * @returns {{text: string, href?: string}[]}
 */
export function pieces(text) {
  const out = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    let link = found.replace(TAIL, '');
    // A bracket that was opened inside the link belongs to it.
    if (found[link.length] === ')' && link.includes('(') && !link.includes(')')) link += ')';
    if (!URL.canParse(link)) continue;
    if (index > from) out.push({ text: text.slice(from, index) });
    out.push({ text: link, href: new URL(link).href });
    from = index + link.length;
  }
  if (from < text.length) out.push({ text: text.slice(from) });
  return out;
}

/** Is this a text of one to three emoji and nothing else? */
export function isEmoji(text) {
  return /^(?:\p{Extended_Pictographic}[\ufe0f\u200d\p{EMod}]*\s?){1,3}$/u.test(text);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' });
const SHORT = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

export const clock = (ts) => CLOCK.format(ts);
export const moment = (ts) => FULL.format(ts);

/** The local day of a time, as a number that differs from day to day. */
export function dayOf(ts) {
  const date = new Date(ts);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS);
}

/** The words on a day separator. */
export function dayLabel(ts, now = Date.now()) {
  const ago = dayOf(now) - dayOf(ts);
  if (ago === 0) return 'Today';
  if (ago === 1) return 'Yesterday';
  return ago > 0 && ago < 180 ? DAY.format(ts) : DATE.format(ts);
}

/** A time in the list of rooms: the clock today, else the day. */
export function ago(ts, now = Date.now()) {
  const days = dayOf(now) - dayOf(ts);
  if (days === 0) return clock(ts);
  return days === 1 ? 'Yesterday' : SHORT.format(ts);
}

/** `alice`, `alice and bob`, `alice, bob and 3 others`. */
export function listed(names, max = 3) {
  if (names.length <= 1) return names[0] ?? '';
  if (names.length <= max) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return `${names.slice(0, max - 1).join(', ')} and ${names.length - max + 1} others`;
}

/** Bytes of a text as it travels. */
export const byteLength = (text) => new TextEncoder().encode(text).length;

/** Makes an element: `el('b.big', { title }, child, 'text')`. Strings become text nodes. */
export function el(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined) continue;
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** An icon of the page's own sprite. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}
