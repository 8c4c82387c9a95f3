// @ts-check
/** The console page: joins the client (ringpost.js), the rooms (room.js) and the page. */

import { connect } from './ringpost.js';
import { commandOf, completion } from './complete.js';
import { RoomModel } from './room.js';
import { drawEdge, drawHead, drawPeople, drawRooms, drawTyping } from './panels.js';
import { store, throttled } from './store.js';
import { Timeline } from './timeline.js';
import { byteLength, el, hue, initials, plain } from './text.js';

const PAGE = 50;
/** The reader counts as "at the end" within this many pixels. */
const END_PX = 80;
const MARK_DELAY_MS = 700;
const TYPING_TTL_MS = 8_000;
const JUMP_PAGES_MAX = 6;
/** A replay is drawn within this time after its room was opened. */
const LANDING_MS = 800;
const FIRST_ROOM = 'general';

/** Every element of the page that has an id. @type {Record<string, any>} */
const view = Object.fromEntries(
  [...document.querySelectorAll('[id]')].map((node) => [node.id, node]),
);
const touch = matchMedia('(pointer: coarse)');

/** @type {any} */ let client = null;
let me = '';
/** @type {Map<string, RoomModel>} */ const rooms = new Map();
/** @type {RoomModel|null} */ let current = null;
/** What the composer does: a new message, an answer or an edit. @type {any} */ let context = null;
let loading = false;
/** A room was just opened: its replay must not move the reader from where new messages begin. */
let landing = false;
let landingTimer;
/** Was the connection lost since the last banner? */
let interrupted = false;
/** Messages that came by resume, for the banner. */
let caughtUp = 0;
let takenBack = 0;

const timeline = new Timeline(view.timeline, fetchQuote);

// ---- What stays between visits ------------------------------------------------------------------

function rememberRooms() {
  store.set(`rooms.${me}`, [...rooms.keys()]);
  if (current) store.set(`room.${me}`, current.name);
}

const rememberRead = throttled(1_000, () => {
  store.set(
    `read.${me}`,
    Object.fromEntries([...rooms].map(([name, { readTo }]) => [name, readTo])),
  );
});

// ---- Signing in ---------------------------------------------------------------------------------

function boot() {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.has('token')) {
    // A token must not stay in the address bar or the history.
    sessionStorage.setItem('ringpost.token', fragment.get('token') ?? '');
    history.replaceState(null, '', location.pathname + location.search);
  }
  const token = sessionStorage.getItem('ringpost.token') ?? '';
  const user = query.get('user') || store.get('user', '');
  if (user || token) signIn(user, token);
  else askName('');
}

function askName(problem) {
  view['login-error'].textContent = problem;
  // A server that refuses a name most likely wants a token.
  view.login.querySelector('details').open = Boolean(problem);
  view.name.value = store.get('user', '');
  if (!view.login.open) view.login.showModal();
}

function signIn(user, token) {
  dismiss();
  me = user;
  let device = store.get('device', '');
  if (!device) store.set('device', (device = `web-${Math.random().toString(36).slice(2, 12)}`));
  client = connect({
    user: user || undefined,
    token: token || undefined,
    device,
    client: 'console/1',
  });
  listen(client);
}

/** The first answer to `hello` says who we are; only then rooms can be opened. */
function signedIn() {
  const known = client.session.user;
  if (rooms.size && known === me) return;
  me = known;
  store.set('user', me);
  view['me-name'].textContent = plain(me);
  view['me-avatar'].textContent = initials(me);
  view['me-avatar'].className = `avatar ${hue(me)}`;
  const wanted = new URLSearchParams(location.search).get('room');
  const names = new Set(store.get(`rooms.${me}`, []));
  if (wanted) names.add(wanted);
  if (names.size === 0) names.add(FIRST_ROOM);
  for (const name of names) addRoom(name);
  const last = wanted || store.get(`room.${me}`, '');
  // On a narrow screen the list comes first, unless a room was asked for.
  select(rooms.has(last) ? last : [...names][0], { focus: !touch.matches, show: Boolean(wanted) });
}

/** Ends a connection that we no longer listen to. */
function dismiss() {
  const old = client;
  client = null;
  old?.close();
}

function signOut() {
  dismiss();
  rooms.clear();
  current = null;
  sessionStorage.removeItem('ringpost.token');
  draw();
  askName('');
}

// ---- What the server says -----------------------------------------------------------------------

function listen(chat) {
  const mine = (handler) => (event) => chat === client && handler(event);
  const inRoom = (handler) =>
    mine((event) => {
      const room = rooms.get(event.room);
      if (room) handler(room, event.d, event);
      draw();
    });
  const durable = inRoom((room, d, event) => received(room, event));
  for (const type of ['msg', 'edit', 'delete', 'member', 'room']) chat.on(type, durable);
  chat.on(
    'state',
    mine(({ d }) => connection(d)),
  );
  chat.on(
    'joined',
    inRoom((room, d) => {
      const first = room.top === 0;
      room.joined(d);
      if (first && room === current) land();
      refreshRoster(room);
    }),
  );
  chat.on(
    'recovered',
    inRoom((room, d) => {
      caughtUp += d.n;
    }),
  );
  chat.on(
    'rolled_back',
    inRoom((room, d) => {
      takenBack += room.rollBack(d.back_to);
      showTakenBack();
    }),
  );
  chat.on(
    'gap',
    inRoom((room) => reload(room)),
  );
  chat.on(
    'lost',
    inRoom((room, d) => banner('bad', `“${room.title}”: ${d.error.message}`)),
  );
  chat.on(
    'mark',
    inRoom((room, d) => room.marked(d.marks)),
  );
  chat.on(
    'delivery',
    inRoom((room, d) => room.delivered(d)),
  );
  chat.on(
    'presence',
    inRoom((room, d) => room.presence(d)),
  );
  chat.on(
    'typing',
    inRoom((room, d) => {
      if (d.user !== me) room.typing.set(d.user, Date.now() + TYPING_TTL_MS);
    }),
  );
  chat.on(
    'cmd',
    inRoom((room, d) => {
      room.card(d.kind === 'error' ? 'error' : 'ephemeral', d.text, Date.now());
      if (room === current) follow();
    }),
  );
  chat.on(
    'notice',
    mine(({ d }) => banner(d.level === 'info' ? 'good' : 'bad', d.msg)),
  );
  chat.on(
    'err',
    mine(({ d }) => banner('bad', d.msg || d.name)),
  );
}

function received(room, event) {
  const atEnd = isAtEnd();
  room.apply(event);
  if (room === current && event.t === 'msg') {
    if (!landing && (event.d.from === me || (atEnd && isWatching()))) follow();
    if (atEnd) room.trim();
    if (!landing && atEnd && isReading()) room.readTo = room.top;
  }
  markSoon();
}

function connection({ state, delay_ms, code, reason, msg }) {
  view.light.className = state;
  view.light.setAttribute('aria-label', state === 'open' ? 'connected' : 'not connected');
  if (state === 'open') {
    signedIn();
    if (interrupted) setTimeout(showResumed, 300);
  } else if (state === 'waiting') {
    interrupted = true;
    const seconds = Math.ceil(delay_ms / 1_000);
    const when = seconds > 1 ? ` Next attempt in ${seconds} s.` : '';
    banner('warn', `Reconnecting… Messages you write now are sent later.${when}`, {
      label: seconds > 1 ? 'Try now' : '',
      act: () => client.retry(),
      sticky: true,
    });
  } else if (state === 'closed') {
    closed(code, msg || reason);
  } else if (!client?.session) {
    banner('warn', 'Connecting…', { sticky: true });
  }
  if (state === 'open' && !interrupted) view.banner.hidden = true;
}

function showResumed() {
  if (client?.state !== 'open') return;
  interrupted = false;
  const news = caughtUp
    ? ` ${caughtUp} missed ${caughtUp === 1 ? 'event' : 'events'} caught up.`
    : '';
  caughtUp = 0;
  if (!takenBack) banner('good', `Back online.${news}`);
}

function showTakenBack() {
  const what = takenBack === 1 ? 'One message was' : `${takenBack} messages were`;
  if (!takenBack) return;
  banner('bad', `${what} taken back: the server lost what had not reached its disk.`, {
    label: 'Understood',
    act: () => {
      takenBack = 0;
      view.banner.hidden = true;
    },
    sticky: true,
  });
}

function closed(code, reason) {
  const refused = code === 400 || code === 401 || code === 402 || code === 4501;
  if (refused && !rooms.size) return askName(reason || 'The server did not let you in.');
  const words = {
    replaced: 'This session continues in another window.',
    banned: 'You are banned here.',
  };
  banner('bad', words[reason] ?? `Disconnected: ${reason || code}.`, {
    label: 'Connect again',
    act: () => location.reload(),
    sticky: true,
  });
}

let bannerTimer;
function banner(kind, text, { label = '', act = () => {}, sticky = false } = {}) {
  clearTimeout(bannerTimer);
  const [words, button] = view.banner.children;
  words.textContent = plain(text);
  view.banner.className = kind;
  view.banner.hidden = false;
  button.hidden = !label;
  button.textContent = label;
  button.onclick = act;
  if (!sticky)
    bannerTimer = setTimeout(() => {
      view.banner.hidden = true;
    }, 5_000);
}

// ---- Rooms --------------------------------------------------------------------------------------

function addRoom(name) {
  if (rooms.has(name)) return;
  const room = new RoomModel(name, me, store.get(`read.${me}`, {})[name]);
  rooms.set(name, room);
  rememberRooms();
  client.join(name, { last: PAGE }).catch((error) => {
    if (error.code === 0 || rooms.get(name) !== room) return;
    rooms.delete(name);
    rememberRooms();
    if (current === room) select([...rooms.keys()][0]);
    banner('bad', `Cannot join “${room.title}”: ${error.message}`);
  });
}

function select(name, { focus = !touch.matches, show = true } = {}) {
  if (current) current.draft = context?.kind === 'edit' ? '' : view.text.value;
  current = rooms.get(name) ?? null;
  timeline.clear();
  setContext(null);
  setText(current?.draft ?? '');
  if (show) pane('chat');
  if (!current) return draw();
  rememberRooms();
  land();
  refreshRoster(current);
  if (focus) view.text.focus();
}

/** Opens the current room where reading stopped; the line stays put while news are read. */
function land() {
  if (!current) return;
  const { readTo, top } = current;
  current.divider = readTo !== undefined && readTo < top ? readTo : undefined;
  landing = true;
  clearTimeout(landingTimer);
  landingTimer = setTimeout(() => {
    landing = false;
  }, LANDING_MS);
  drawNow();
}

function leaveRoom() {
  const room = current;
  if (!room) return;
  client.leave(room.name).catch(() => {});
  rooms.delete(room.name);
  rememberRooms();
  select([...rooms.keys()][0], { show: false });
  pane('rooms');
}

function refreshRoster(room) {
  client.who(room.name, { limit: 200 }).then(
    (answer) => {
      room.roster(answer);
      draw();
    },
    () => {},
  );
}

async function reload(room) {
  try {
    room.reset(await client.history(room.name, { limit: PAGE }));
    if (room === current) draw();
  } catch {
    // The connection is gone again: the next resume asks again.
  }
}

async function loadOlder() {
  const room = current;
  const first = room?.items.find(({ kind, o }) => kind === 'msg' && o)?.o;
  if (!room?.more || loading || client.state !== 'open') return;
  loading = true;
  view.timeline.setAttribute('aria-busy', 'true');
  try {
    room.page(await client.history(room.name, { before: first, limit: PAGE }), { older: true });
    if (room === current) keepingPlace(drawNow);
  } catch {
    // Asked again at the next scroll.
  } finally {
    loading = false;
    view.timeline.removeAttribute('aria-busy');
  }
}

/** Draws above the reader without moving what is read. */
function keepingPlace(act) {
  const { scrollHeight, scrollTop } = view.scroll;
  act();
  view.scroll.scrollTop = scrollTop + view.scroll.scrollHeight - scrollHeight;
}

const asked = new Set();
function fetchQuote(o) {
  const room = current;
  if (!room || asked.has(`${room.name} ${o}`)) return;
  asked.add(`${room.name} ${o}`);
  client
    .history(room.name, { around: o, limit: 1 })
    .then(
      ({ msgs }) => {
        const found = msgs.find((msg) => msg.o === o);
        if (room !== current) return;
        timeline.quotes.set(o, found?.d ?? { from: '', text: 'A message that is gone' });
        draw();
      },
      () => {},
    )
    .finally(() => asked.delete(`${room.name} ${o}`));
}

/** Shows a quoted message, loading history up to it. */
async function jump(o) {
  const room = current;
  for (
    let page = 0;
    page < JUMP_PAGES_MAX && room === current && !room?.message(o) && room?.more;
    page += 1
  ) {
    await loadOlder();
  }
  const node = view.timeline.querySelector(`[data-o="${Number(o)}"]`);
  if (!node) return;
  node.scrollIntoView({ block: 'center' });
  node.focus({ preventScroll: true });
  node.classList.add('flash');
  setTimeout(() => node.classList.remove('flash'), 1_500);
}

// ---- Reading ------------------------------------------------------------------------------------

const isAtEnd = () =>
  view.scroll.scrollHeight - view.scroll.scrollTop - view.scroll.clientHeight < END_PX;
const isReading = () => document.hasFocus() && isWatching();
const isWatching = () =>
  document.visibilityState === 'visible' && document.body.dataset.pane !== 'rooms';

/** Keeps the end in view after the next drawing. */
let following = false;
function follow() {
  following = true;
  draw();
}

const markSoon = throttled(MARK_DELAY_MS, () => {
  if (client?.state !== 'open') return;
  if (current && !landing && isReading() && isAtEnd()) {
    current.readTo = Math.max(current.readTo ?? 0, current.top);
    rememberRead();
  }
  for (const room of rooms.values()) {
    const newest = room.items.findLast(({ kind, from }) => kind === 'msg' && from !== me)?.o;
    if (!newest) continue;
    const read = Math.min(newest, room.readTo ?? 0);
    client.mark(room.name, { recv: newest, read }).catch(() => {});
  }
  draw();
});

// ---- Writing ------------------------------------------------------------------------------------

function submit() {
  const text = view.text.value.trim();
  const room = current;
  if (!text || !room) return;
  const limit = client.session?.limits?.text ?? 32_768;
  if (byteLength(text) > limit) return banner('bad', `Too long: a message holds ${limit} bytes.`);
  const reply = context?.kind === 'reply' ? context.o : undefined;
  const edited = context?.kind === 'edit' ? context : null;
  setContext(null);
  setText('');
  if (!edited) return post(room, text, reply);
  if (text === edited.text) return;
  client
    .edit(room.name, edited.o, text)
    .catch((error) => banner('bad', `Not edited: ${error.message}`));
}

function post(room, text, reply) {
  const cid = `${Date.now().toString(36)}-${crypto.getRandomValues(new Uint32Array(2)).join('')}`;
  const isCommand = text.startsWith('/') && !text.startsWith('//');
  if (isCommand) room.card('asked', text, Date.now());
  else room.sending(cid, text, reply, Date.now());
  room.divider = undefined;
  landing = false;
  client
    .send(room.name, text, { cid, reply })
    .then(
      () => room.acknowledged(cid),
      (error) => {
        if (room.failed(cid, error.message)) return;
        if (isCommand) room.card('error', error.message, Date.now());
      },
    )
    .finally(draw);
  follow();
}

function setContext(next) {
  context = next;
  const [words] = view.context.children;
  view.context.hidden = !next;
  if (!next) return;
  words.children[0].textContent =
    next.kind === 'edit' ? 'Edit message' : `Reply to ${plain(next.from)}`;
  words.children[1].textContent = plain(next.text).slice(0, 200);
  if (next.kind === 'edit') setText(next.text);
  view.text.focus();
}

function setText(text) {
  view.text.value = text;
  resize();
  view.suggest.hidden = true;
}

/** The box grows with its text, up to a third of the window. */
function resize() {
  view.text.style.height = 'auto';
  view.text.style.height = `${Math.min(view.text.scrollHeight, innerHeight / 3)}px`;
  view.send.disabled = !view.text.value.trim();
}

const suggest = throttled(150, async () => {
  const room = current;
  const line = view.text.value;
  const prefix = commandOf(line);
  view.suggest.hidden = true;
  if (prefix === undefined || !room || client.state !== 'open') return;
  const { cmds = [] } = await client.cmds(room.name, prefix).catch(() => ({}));
  if (room !== current || view.text.value !== line) return;
  const names = { users: [...room.present.keys()], rooms: [...rooms.keys()] };
  const options = completion(line, cmds, names);
  view.suggest.replaceChildren(...options.map(suggestion));
  view.suggest.hidden = options.length === 0;
});

/** One that only explains cannot be picked. */
function suggestion({ text, label, usage, help }, index) {
  const selected = String(index === 0 && text !== null);
  const node = el('li', { role: 'option', ariaSelected: selected }, el('b', {}, plain(label)));
  node.append(el('i', {}, plain(usage)), el('span', {}, plain(help)));
  if (text !== null) node.dataset.text = text;
  return node;
}

function pick(node) {
  if (node.dataset.text === undefined) return;
  setText(node.dataset.text);
  suggest();
  view.text.focus();
}

function act(name, node) {
  const item = current?.message(Number(node.dataset.o)) ?? current?.pending.get(node.dataset.cid);
  if (!current || !item) return;
  if (name === 'reply')
    setContext({ kind: 'reply', o: item.o, from: item.name || item.from, text: item.text });
  if (name === 'edit') setContext({ kind: 'edit', o: item.o, text: item.text });
  if (name === 'delete') remove(current, item, node);
  if (name === 'again' || name === 'drop') current.pending.delete(item.cid);
  if (name === 'again') post(current, item.text, item.reply);
  draw();
}

/** The first press asks, the second within three seconds deletes. */
function remove(room, item, node) {
  const button = node.querySelector('[data-act=delete]');
  if (!button.classList.contains('sure')) {
    button.classList.add('sure');
    button.title = 'Press again to delete';
    setTimeout(() => button.classList.remove('sure'), 3_000);
    return;
  }
  client.delete(room.name, item.o).catch((error) => banner('bad', `Not deleted: ${error.message}`));
}

// ---- Drawing ------------------------------------------------------------------------------------

let drawing = 0;
/** Draws once for all that happened in a frame; a hidden page gets no frames, so a timer does. */
function draw() {
  if (drawing) return;
  const later =
    document.visibilityState === 'visible' ? requestAnimationFrame : (fn) => setTimeout(fn, 250);
  drawing = later(() => drawNow());
}

function drawNow() {
  drawing = 0;
  const unread = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  const where = current ? `${plain(current.title)} · ` : '';
  document.title = `${unread ? `(${unread}) ` : ''}${where}ringpost`;
  drawRooms(view, rooms, current);
  drawHead(view, current);
  const wasAtEnd = following || isAtEnd();
  if (current) timeline.draw(current);
  drawEdge(view, current);
  drawTyping(view, current);
  const line = landing && view.timeline.querySelector('.new');
  if (line) line.scrollIntoView({ block: 'center' });
  else if (wasAtEnd || landing) view.scroll.scrollTop = view.scroll.scrollHeight;
  following = false;
  drawNewest();
  drawPeople(view, current);
  // A page that does not fill the window cannot be scrolled, so ask for more at once.
  if (current?.more && view.scroll.scrollHeight <= view.scroll.clientHeight + END_PX) loadOlder();
}

function drawNewest() {
  const unread = current?.unread ?? 0;
  view.newest.hidden = isAtEnd();
  view.newest.lastElementChild.textContent = unread ? `${unread} new` : '';
  view.newest.setAttribute(
    'aria-label',
    unread ? `${unread} new messages` : 'To the newest message',
  );
}

function pane(name) {
  document.body.dataset.pane = name;
  view['people-toggle'].setAttribute('aria-expanded', String(name === 'people'));
}

// ---- Hands --------------------------------------------------------------------------------------

function composerKey(event) {
  if (event.isComposing) return;
  const options = view.suggest.hidden ? [] : [...view.suggest.querySelectorAll('[data-text]')];
  const at = options.findIndex((node) => node.ariaSelected === 'true');
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (options.length && step) {
    options[at].ariaSelected = 'false';
    options[(at + step + options.length) % options.length].ariaSelected = 'true';
  } else if (options.length && event.key === 'Tab') {
    pick(options[at]);
  } else if (event.key === 'Enter' && !event.shiftKey && !touch.matches) {
    submit();
  } else if (event.key === 'Escape') {
    if (context?.kind === 'edit') setText('');
    setContext(null);
    view.suggest.hidden = true;
  } else if (event.key === 'ArrowUp' && !event.altKey && !view.text.value && current?.lastOwn) {
    setContext({ kind: 'edit', o: current.lastOwn.o, text: current.lastOwn.text });
  } else {
    return;
  }
  event.preventDefault();
}

/** Arrows walk through messages; r, e and Delete act on the focused one. */
function timelineKey(event) {
  const node = event.target.closest?.('.msg');
  if (!node || event.ctrlKey || event.metaKey || event.altKey || event.target !== node) return;
  const action = { r: 'reply', e: 'edit', Delete: 'delete' }[event.key];
  const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
  if (!action && !step) return;
  event.preventDefault();
  if (action && node.querySelector(`[data-act=${action}]`)) act(action, node);
  let next = step && node[step];
  while (next && !next.classList.contains('msg')) next = next[step];
  next?.focus();
}

/** Alt with an arrow goes to the next room of the list. */
function pageKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!event.altKey || !step) return;
  const names = [...view.rooms.querySelectorAll('[data-room]')].map((node) => node.dataset.room);
  const at = names.indexOf(current?.name ?? '');
  if (names.length > 1) select(names[(at + step + names.length) % names.length]);
  event.preventDefault();
}

function wire() {
  view.join.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = view['join-room'].value.trim();
    if (!name || !client) return;
    addRoom(name);
    select(name);
    view['join-room'].value = '';
  });
  view.login.addEventListener('submit', () => {
    const token = view.token.value.trim();
    if (token) sessionStorage.setItem('ringpost.token', token);
    const user = view.name.value.trim();
    if (user || token) signIn(user, token);
    else setTimeout(() => askName('Please enter a name.'));
  });
  view.login.addEventListener('cancel', (event) => event.preventDefault());
  view.rooms.addEventListener('click', ({ target }) => {
    const name = target.closest('[data-room]')?.dataset.room;
    if (name !== undefined) select(name);
  });
  view.timeline.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-act]');
    if (button?.dataset.act === 'show') jump(Number(button.dataset.of));
    else if (button) act(button.dataset.act, button.closest('.msg'));
  });
  view.suggest.addEventListener('click', ({ target }) => {
    const node = target.closest('li');
    if (node) pick(node);
  });
  view.composer.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
    view.text.focus();
  });
  view.text.addEventListener('input', () => {
    resize();
    suggest();
    if (view.text.value.trim() && !view.text.value.startsWith('/') && current)
      client.typing(current.name);
  });
  view.context.querySelector('button').addEventListener('click', () => {
    if (context?.kind === 'edit') setText('');
    setContext(null);
  });
  view.status.addEventListener('change', () =>
    client?.status({ state: view.status.value }).catch(() => {}),
  );
  view.scroll.addEventListener(
    'scroll',
    () => {
      if (view.scroll.scrollTop < 200) loadOlder();
      drawNewest();
      if (isAtEnd()) markSoon();
    },
    { passive: true },
  );
  view.scroll.addEventListener(
    'wheel',
    () => {
      landing = false;
    },
    { passive: true },
  );
  view.scroll.addEventListener(
    'touchmove',
    () => {
      landing = false;
    },
    { passive: true },
  );
  view.newest.addEventListener('click', follow);
  view.back.addEventListener('click', () => pane('rooms'));
  view.leave.addEventListener('click', leaveRoom);
  view['people-toggle'].addEventListener('click', () =>
    pane(document.body.dataset.pane === 'people' ? 'chat' : 'people'),
  );
  view['people-close'].addEventListener('click', () => pane('chat'));
  view['sign-out'].addEventListener('click', signOut);
  view.text.addEventListener('keydown', composerKey);
  view.timeline.addEventListener('keydown', timelineKey);
  document.addEventListener('keydown', pageKey);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible') return;
    client?.retry();
    markSoon();
    draw();
  });
  addEventListener('focus', markSoon);
  addEventListener('resize', resize);
  // Who types is forgotten by time alone.
  setInterval(() => drawTyping(view, current), 1_000);
}

wire();
boot();
draw();
