// The client module against a socket that we hold in our hands, under a clock that we move.
//
//     node --test tests/browser/

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { connect } from '../../src/web/ringpost.js';

/** Both ends of a connection: what the client wrote, and the hands of the server. */
class FakeSocket {
  static all = [];
  sent = [];
  ended = false;

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.ended = true;
  }

  // ---- The server's hands ----

  open() {
    this.onopen();
    return this;
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  /** Answers the newest request of a verb. */
  ok(verb, d = {}) {
    this.say({ t: 'ok', id: this.newest(verb).id, d });
  }

  err(verb, d) {
    this.say({ t: 'err', id: this.newest(verb).id, d: { name: 'test', ...d } });
  }

  newest(verb) {
    return this.sent.findLast(({ t }) => t === verb);
  }

  count(verb) {
    return this.sent.filter(({ t }) => t === verb).length;
  }

  msg(o, d = {}, room = 'r') {
    this.say({
      t: 'msg',
      room,
      o,
      ts: o,
      d: { from: 'bob', cid: `b${o}`, text: `m${o}`, src: 'ws', ...d },
    });
  }

  lose(code = 1006, reason = '') {
    this.onclose({ code, reason });
  }
}

const latest = () => FakeSocket.all.at(-1);
const settled = () => new Promise((done) => setImmediate(done));

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
});

/** A client in the room `r` at an offset, with a list of what it told us. */
function joined({ o = 10, random = () => 1, ...options } = {}) {
  const chat = connect({
    url: 'ws://x/ws',
    user: 'alice',
    WebSocket: FakeSocket,
    random,
    ...options,
  });
  const told = [];
  chat.on('*', ({ t, d, o: at }) => {
    if (t !== 'state' && t !== 'joined') told.push(at ? `${t} ${at}` : `${t} ${JSON.stringify(d)}`);
  });
  hello({});
  chat.join('r');
  latest().ok('join', { e: 'k1', o, n: 0, from: o + 1, recovered: true });
  return { chat, told };
}

/** Opens the newest socket and answers its hello. */
function hello(rooms, more = {}) {
  const socket = latest().open();
  socket.ok('hello', {
    sid: 's',
    user: 'alice',
    resume: 'secret',
    ping_ms: 25_000,
    pong_ms: 8_000,
    rooms,
    ...more,
  });
  return socket;
}

/** Loses the connection and comes back with this answer for the room. */
function back(answer) {
  latest().lose();
  mock.timers.tick(20_000);
  return hello({ r: { e: 'k1', recovered: true, n: 0, ...answer } });
}

test('the first frame is hello, with everything that was joined before', () => {
  const chat = connect({ url: 'ws://x/ws', user: 'alice', device: 'd', WebSocket: FakeSocket });
  chat.join('r', { last: 5 });
  chat.join('s');
  const socket = latest().open();
  assert.equal(socket.protocol, 'ringpost.v1.json');
  assert.deepEqual(socket.sent, [
    { t: 'hello', id: 1, d: { user: 'alice', device: 'd', rooms: { r: { last: 5 }, s: {} } } },
  ]);
});

test('a join resolves with the answer, and the replay of `last` is delivered', async () => {
  const chat = connect({ url: 'ws://x/ws', user: 'alice', WebSocket: FakeSocket });
  const seen = [];
  chat.on('msg', ({ o }) => seen.push(o));
  const join = chat.join('r', { last: 2 });
  const socket = hello({ r: { e: 'k1', o: 10, from: 9, n: 2, recovered: true, role: 'owner' } });
  assert.equal((await join).role, 'owner');
  [9, 10, 11].forEach((o) => socket.msg(o));
  assert.deepEqual(seen, [9, 10, 11]);
  assert.deepEqual(chat.position('r'), { e: 'k1', o: 11 });
});

test('a room that is joined on hearing of the connection is asked for once', () => {
  const chat = connect({ url: 'ws://x/ws', user: 'alice', WebSocket: FakeSocket });
  chat.on('state', () => chat.state === 'open' && chat.join('r'));
  assert.equal(hello({}).count('join'), 1);
});

test('a refused join rejects and is not tried again', async () => {
  const { chat, told } = joined();
  const join = chat.join('secret');
  latest().err('join', { code: 403 });
  await assert.rejects(join, { code: 403 });
  assert.deepEqual(chat.rooms, ['r']);
  assert.match(told[0], /^lost/);
});

test('a room resumes at its position, with the secret of the session', () => {
  const { told } = joined();
  latest().msg(11);
  const socket = back({ o: 13, from: 12, n: 2 });
  assert.deepEqual(socket.newest('hello').d.rooms, { r: { e: 'k1', o: 11 } });
  assert.equal(socket.newest('hello').d.resume, 'secret');
  socket.msg(12);
  socket.msg(13);
  socket.msg(14);
  assert.deepEqual(told, ['msg 11', 'recovered {"n":2,"o":13}', 'msg 12', 'msg 13', 'msg 14']);
});

test('an event that was seen is not delivered again', () => {
  const { told } = joined();
  for (const o of [11, 11, 10, 12, 11]) latest().msg(o);
  assert.deepEqual(told, ['msg 11', 'msg 12']);
});

test('events of a room that was left or never joined are not delivered', () => {
  const { chat, told } = joined();
  latest().msg(1, {}, 'elsewhere');
  chat.leave('r');
  latest().msg(11);
  assert.deepEqual(told, []);
});

test('a hole is told before what follows it, whoever made it', () => {
  const { told } = joined();
  latest().msg(13);
  latest().say({ t: 'gap', room: 'r', d: { from: 14, to: 20 } });
  latest().msg(21);
  assert.deepEqual(told, [
    'gap {"from":11,"to":12}',
    'msg 13',
    'gap {"from":14,"to":20}',
    'msg 21',
  ]);
});

test('too long away: a gap up to the top', () => {
  const { told } = joined();
  back({ o: 900, recovered: false }).msg(901);
  assert.deepEqual(told, ['gap {"from":11,"to":900}', 'msg 901']);
});

test('a crash took events back: roll back first, then the gap of the new life', () => {
  const { chat, told } = joined();
  back({ e: 'k2', o: 9, recovered: false, back_to: 7 }).msg(10);
  assert.deepEqual(told, ['rolled_back {"back_to":7,"o":10}', 'gap {"from":8,"to":9}', 'msg 10']);
  assert.deepEqual(chat.position('r'), { e: 'k2', o: 10 });
});

test('a crash that cost nothing is an ordinary resume into the new epoch', () => {
  const { chat, told } = joined();
  back({ e: 'k2', o: 10 });
  assert.deepEqual(told, ['recovered {"n":0,"o":10}']);
  assert.deepEqual(chat.position('r'), { e: 'k2', o: 10 });
});

test('a room that is closed to us on resume is given up', async () => {
  const { chat, told } = joined();
  const send = chat.send('r', 'x');
  latest().lose();
  mock.timers.tick(20_000);
  hello({ r: { err: { code: 403, name: 'forbidden' } } });
  await assert.rejects(send, { code: 403 });
  assert.match(told.at(-1), /^lost/);
  assert.deepEqual(chat.rooms, []);
});

test('a send is kept over a lost connection and repeated under its cid', async () => {
  const { chat } = joined();
  const first = chat.send('r', 'one', { reply: 3 });
  const { cid } = latest().newest('send').d;
  const socket = back({ o: 10 });
  assert.deepEqual(socket.newest('send').d, { cid, text: 'one', reply: 3 });
  socket.ok('send', { o: 11, ts: 5, dup: true });
  assert.deepEqual(await first, { o: 11, ts: 5, dup: true });
});

test('what is written offline goes out in order, one at a time', async () => {
  const { chat } = joined();
  latest().lose();
  const sends = ['a', 'b', 'c'].map((text) => chat.send('r', text));
  mock.timers.tick(20_000);
  const socket = hello({ r: { e: 'k1', o: 10, n: 0, recovered: true } });
  for (const text of ['a', 'b', 'c']) {
    assert.equal(socket.newest('send').d.text, text);
    socket.ok('send', { o: 11, ts: 5, dup: false });
  }
  await Promise.all(sends);
  assert.equal(socket.count('send'), 3);
});

test('a refused send waits as told and keeps its place', async () => {
  const { chat } = joined();
  const first = chat.send('r', 'a');
  chat.send('r', 'b');
  latest().err('send', { code: 429, retry: true, after_ms: 800 });
  assert.equal(latest().count('send'), 1);
  mock.timers.tick(799);
  assert.equal(latest().count('send'), 1);
  mock.timers.tick(1);
  assert.equal(latest().newest('send').d.text, 'a');
  latest().ok('send', { o: 11, ts: 5, dup: false });
  await first;
  assert.equal(latest().newest('send').d.text, 'b');
});

test('a send that cannot succeed rejects, and the next goes on', async () => {
  const { chat } = joined();
  const bad = chat.send('r', 'x'.repeat(40_000));
  const good = chat.send('r', 'y');
  latest().err('send', { code: 413 });
  await assert.rejects(bad, { code: 413, retry: false });
  latest().ok('send', { o: 11, ts: 1, dup: false });
  await good;
});

test('the outbox waits for the replay; what that shows is, later, not sent again', async () => {
  const { chat } = joined();
  const send = chat.send('r', 'old');
  const { cid } = latest().newest('send').d;
  latest().lose();
  mock.timers.tick(300_000);
  const socket = hello({ r: { e: 'k1', o: 11, from: 11, n: 1, recovered: true } });
  assert.equal(socket.count('send'), 0);
  socket.msg(11, { from: 'alice', cid });
  assert.deepEqual(await send, { o: 11, ts: 11, dup: true });
  assert.equal(socket.count('send'), 0);
});

test('within the five minutes the server is asked, because only its ok means safe', () => {
  const { chat } = joined();
  chat.send('r', 'new');
  const { cid } = latest().newest('send').d;
  const socket = back({ o: 11, from: 11, n: 1 });
  socket.msg(11, { from: 'alice', cid });
  assert.equal(socket.newest('send').d.cid, cid);
});

test('a send to a room that was not joined rejects', async () => {
  const { chat } = joined();
  await assert.rejects(chat.send('nowhere', 'x'), { code: 411 });
});

test('questions are asked again, commands are not', async () => {
  const { chat } = joined();
  const page = chat.history('r', { before: 5 });
  const cmd = chat.cmd('r', 'roll');
  latest().lose();
  await assert.rejects(cmd, { reason: 'closed' });
  mock.timers.tick(20_000);
  const socket = hello({ r: { e: 'k1', o: 10, n: 0, recovered: true } });
  assert.deepEqual(socket.newest('history').d, { before: 5 });
  socket.ok('history', { msgs: [] });
  assert.deepEqual(await page, { msgs: [] });
});

test('back-off doubles from 0.2 to 20 s and a stable connection ends the row', () => {
  const { chat } = joined();
  const delays = [];
  chat.on('state', ({ d }) => d.state === 'waiting' && delays.push(d.delay_ms));
  for (let i = 0; i < 9; i += 1) {
    latest().lose();
    mock.timers.tick(20_000);
  }
  assert.deepEqual(delays, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 20_000, 20_000]);
  hello({});
  mock.timers.tick(10_000);
  latest().lose();
  assert.equal(delays.at(-1), 200);
});

test('jitter is full: the random number scales the whole wait', () => {
  const { chat } = joined({ random: () => 0.25 });
  let delay;
  chat.on('state', ({ d }) => {
    delay = d.delay_ms;
  });
  latest().lose();
  assert.equal(delay, 50);
});

test('the close code is the verdict', () => {
  const rows = [
    [1000, 'closed'],
    [1001, 'waiting'],
    [1002, 'closed'],
    [1003, 'closed'],
    [1005, 'waiting'],
    [1006, 'waiting'],
    [1007, 'closed'],
    [1008, 'closed'],
    [1009, 'closed'],
    [1011, 'waiting'],
    [1012, 'waiting'],
    [4000, 'waiting'],
    [4100, 'waiting'],
    [4101, 'waiting'],
    [4102, 'waiting'],
    [4129, 'waiting'],
    [4201, 'closed'],
    [4409, 'closed'],
    [4410, 'closed'],
    [4500, 'closed'],
    [4503, 'closed'],
    [4504, 'closed'],
  ];
  for (const [code, want] of rows) {
    const { chat } = joined();
    latest().lose(code);
    assert.equal(chat.state, want, `${code}`);
    chat.close();
  }
});

test('a bye speaks for a close code that got lost', () => {
  const { chat } = joined({ random: () => 0.5 });
  let wait;
  chat.on('state', ({ d }) => {
    wait = d;
  });
  latest().say({ t: 'bye', d: { code: 4000, reason: 'drain', reconnect: true, after_ms: 3_000 } });
  latest().lose(1006);
  assert.deepEqual([wait.state, wait.delay_ms, wait.reason], ['waiting', 1_500, 'drain']);
});

test('a token function is asked before each connection, and renews', async () => {
  let tokens = 0;
  const token = async () => `t${(tokens += 1)}`;
  const chat = connect({ url: 'ws://x/ws', token, WebSocket: FakeSocket, random: () => 1 });
  await settled();
  hello({});
  assert.equal(latest().newest('hello').d.token, 't1');
  latest().lose(4201);
  assert.equal(chat.state, 'waiting');
  mock.timers.tick(200);
  await settled();
  assert.equal(latest().open().newest('hello').d.token, 't2');
  chat.close();
});

test('a refused hello ends it, unless it may succeed later', () => {
  const rows = [
    [401, false, 'closed'],
    [402, false, 'closed'],
    [503, true, 'waiting'],
  ];
  for (const [code, retry, want] of rows) {
    const chat = connect({ url: 'ws://x/ws', user: 'alice', WebSocket: FakeSocket });
    latest().open().err('hello', { code, retry });
    assert.equal(chat.state, want, `${code}`);
    chat.close();
  }
});

test('ping is answered with pong', () => {
  joined();
  latest().say({ t: 'ping' });
  assert.deepEqual(latest().sent.at(-1), { t: 'pong' });
});

test('silence is questioned, then ends the connection', () => {
  const { chat } = joined();
  const socket = latest();
  mock.timers.tick(33_000);
  assert.equal(socket.count('pong'), 1);
  socket.ok('pong');
  mock.timers.tick(33_000);
  assert.equal(socket.count('pong'), 2);
  mock.timers.tick(8_000);
  assert.equal(chat.state, 'waiting');
  assert.ok(socket.ended);
});

test('a socket that never opens is given up', () => {
  const chat = connect({ url: 'ws://x/ws', user: 'alice', WebSocket: FakeSocket });
  mock.timers.tick(15_000);
  assert.equal(chat.state, 'waiting');
  // What the old socket still says is not heard.
  FakeSocket.all[0].onopen();
  assert.equal(FakeSocket.all[0].sent.length, 0);
});

test('typing is throttled and freed by a send; marks only rise', () => {
  const { chat } = joined();
  chat.typing('r');
  chat.typing('r');
  assert.equal(latest().count('typing'), 1);
  chat.send('r', 'x');
  chat.typing('r');
  assert.equal(latest().count('typing'), 2);
  chat.mark('r', { read: 5 });
  chat.mark('r', { read: 4 });
  chat.mark('r', { recv: 5 });
  assert.equal(latest().count('mark'), 1);
  chat.mark('r', { recv: 9 });
  assert.deepEqual(latest().newest('mark').d, { recv: 9, read: 5 });
});

test('abort takes back what is not under way', async () => {
  const { chat } = joined();
  const stop = new AbortController();
  const first = chat.send('r', 'a', { signal: stop.signal });
  const second = chat.send('r', 'b', { signal: stop.signal });
  const page = chat.history('r', { signal: stop.signal });
  stop.abort();
  await assert.rejects(second, { name: 'AbortError' });
  await assert.rejects(page, { name: 'AbortError' });
  latest().ok('send', { o: 11, ts: 1, dup: false });
  assert.equal((await first).o, 11);
  assert.equal(latest().count('send'), 1);
});

test('close says bye, rejects what is open and stays closed', async () => {
  const stop = new AbortController();
  const { chat } = joined({ signal: stop.signal });
  const send = chat.send('r', 'a');
  const socket = latest();
  stop.abort();
  assert.equal(socket.sent.at(-1).t, 'bye');
  assert.ok(socket.ended);
  await assert.rejects(send, { code: 0 });
  await assert.rejects(chat.history('r'), { code: 0 });
  await assert.rejects(chat.join('s'), { code: 0 });
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test('a listener that throws does not cost the room its position', (context) => {
  const { chat, told } = joined();
  const later = context.mock.method(globalThis, 'queueMicrotask', () => {});
  chat.on('msg', () => {
    throw new Error('mine');
  });
  latest().msg(11);
  latest().msg(12);
  assert.throws(later.mock.calls[0].arguments[0], { message: 'mine' });
  assert.deepEqual(told, ['msg 11', 'msg 12']);
});

test('on returns what ends it, and a signal ends it too', () => {
  const { chat } = joined();
  const stop = new AbortController();
  let calls = 0;
  const off = chat.on('msg', () => {
    calls += 1;
  });
  chat.on(
    'msg',
    () => {
      calls += 10;
    },
    { signal: stop.signal },
  );
  latest().msg(11);
  off();
  latest().msg(12);
  stop.abort();
  latest().msg(13);
  assert.equal(calls, 21);
});
