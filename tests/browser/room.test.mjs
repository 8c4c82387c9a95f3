// The model of a room and the showing of texts: pure, so no page is needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf, completion } from '../../src/web/complete.js';
import { RoomModel } from '../../src/web/room.js';
import { hue, initials, isEmoji, listed, pieces, plain } from '../../src/web/text.js';

const msg = (o, d = {}) => ({
  t: 'msg',
  o,
  ts: o,
  d: { from: 'bob', cid: `c${o}`, text: `m${o}`, src: 'ws', ...d },
});
const shown = (room) => room.items.map(({ o, text }) => `${o} ${text}`);

function room(top = 0) {
  const model = new RoomModel('r', 'alice', undefined);
  model.joined({ o: top, n: 0, from: top + 1 });
  return model;
}

test('a line with a slash is completed, its arguments too', () => {
  const cmds = [
    {
      name: 'kick',
      usage: '<who> [how]',
      help: 'Out',
      args: [
        { name: 'who', type: 'user', required: true },
        { name: 'how', type: 'choice', choices: ['softly', 'so hard'], help: 'in which way' },
        { name: 'sure', type: 'bool' },
        { name: 'days', type: 'int', min: 1, max: 14, default: 1, help: 'for how long' },
      ],
    },
    { name: 'kicks' },
  ];
  const names = { users: ['ann', 'Al Bo'], rooms: ['lobby'] };
  const rows = [
    ['/k', '/kick |/kicks '],
    ['/kick ', '/kick ann |/kick "Al Bo" '],
    ['/kick a', '/kick ann |/kick "Al Bo" '],
    ['/kick "al b', '/kick "Al Bo" '],
    ['/kick ann so', '/kick ann softly |/kick ann "so hard" '],
    ['/kick ann softly ', '/kick ann softly true |/kick ann softly false '],
    ['/kick ann softly true', ''],
    ['/kick ann softly true ', 'days: int from 1 to 14 (1): for how long'],
    ['/kick ann softly true 1 ', ''],
    ['/unknown ', ''],
  ];
  for (const [line, want] of rows) {
    const got = completion(line, cmds, names)
      .map(({ text, label, usage, help }) => text ?? `${label}: ${usage}: ${help}`)
      .join('|');
    assert.equal(got, want, line);
  }
  assert.deepEqual(['/a b', '/', '//a', 'a', '/a'].map(commandOf), [
    'a',
    '',
    undefined,
    undefined,
    'a',
  ]);
});

test('links are found, and nothing else becomes one', () => {
  const rows = [
    ['see https://a.b/c.', 'see |<https://a.b/c>|.'],
    ['(https://a.b/c_(d))', '(|<https://a.b/c_(d)>|)'],
    ['http://a https://b!', '<http://a>| |<https://b>|!'],
    ['javascript:alert(1) data:text/html,x', 'javascript:alert(1) data:text/html,x'],
    ['https://', 'https://'],
    ['"https://a.b"', '"|<https://a.b>|"'],
    ['no link', 'no link'],
    ['', ''],
  ];
  for (const [text, want] of rows) {
    const got = pieces(text)
      .map((piece) => (piece.href ? `<${piece.text}>` : piece.text))
      .join('|');
    assert.equal(got, want, text);
    assert.equal(
      pieces(text)
        .map((piece) => piece.text)
        .join(''),
      text,
    );
  }
});

test('names and texts are shown without deceit', () => {
  assert.equal(plain('a\u202eb\u0000c\u2066d\ne\tf'), 'a\ufffdb\ufffdc\ufffdd\ne\tf');
  assert.equal(plain(undefined), '');
  assert.equal(hue('alice'), hue('alice'));
  assert.deepEqual(['alice', 'Ada Lovelace', 'wa:4912', '', '🎉'].map(initials), [
    'A',
    'AL',
    '4',
    '?',
    '?',
  ]);
  assert.deepEqual(
    [['a'], ['a', 'b'], ['a', 'b', 'c', 'd']].map((names) => listed(names)),
    ['a', 'a and b', 'a, b and 2 others'],
  );
  assert.deepEqual(['🎉', '👍🏽 🎉', '12', 'hi 🎉', ''].map(isEmoji), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('events build the room; what is loaded later takes its edits', () => {
  const model = room(5);
  for (const event of [msg(6), msg(7), { t: 'edit', o: 8, ts: 8, d: { of: 6, v: 2, text: 'new' } }])
    model.apply(event);
  model.apply({ t: 'delete', o: 9, ts: 9, d: { of: 2, from: 'bob' } });
  model.page({ msgs: [msg(1), msg(2)], more: false }, { older: true });
  assert.deepEqual(shown(model), ['1 m1', '2 ', '6 new', '7 m7']);
  assert.equal(model.message(2).deleted, true);
  assert.equal(model.message(6).edited, 8);
});

test('an own message goes from pending to shown to stored to read', () => {
  const model = room();
  model.sending('x', 'hi', undefined, 1);
  assert.equal(model.receipt(model.pending.get('x')).state, 'pending');
  model.apply(msg(1, { from: 'alice', cid: 'x', text: 'hi' }));
  assert.equal(model.pending.size, 0);
  const states = () => model.receipt(model.message(1)).state;
  const seen = [states()];
  model.acknowledged('x');
  seen.push(states());
  for (const mark of [
    { user: 'alice', read: 1 },
    { user: 'bob', recv: 1 },
    { user: 'bob', read: 1 },
    { user: 'bob', read: 0 },
  ]) {
    model.marked([mark]);
    seen.push(states());
  }
  assert.deepEqual(seen, ['pending', 'stored', 'stored', 'received', 'read', 'read']);
});

test('unread counts others’ messages, and another window of ours can clear them', () => {
  const model = room(5);
  for (const event of [msg(6), msg(7, { from: 'alice' }), msg(8)]) model.apply(event);
  assert.equal(model.unread, 2);
  model.marked([{ user: 'alice', recv: 8, read: 6 }]);
  assert.equal(model.unread, 1);
});

test('a roll-back drops messages and keeps what only we see', () => {
  const model = room();
  for (const event of [msg(1), msg(2), msg(3)]) model.apply(event);
  model.card('ephemeral', 'answer', 4);
  model.sending('x', 'mine', undefined, 5);
  assert.equal(model.rollBack(1), 2);
  assert.deepEqual(shown(model), ['1 m1', 'undefined answer']);
  assert.equal(model.pending.size, 1);
  assert.equal(model.top, 1);
});

test('after a gap the page replaces what it covers', () => {
  const model = room();
  for (const event of [msg(1), msg(2), msg(90)]) model.apply(event);
  model.reset({ msgs: [msg(50), msg(51)], top: 89, more: true });
  assert.deepEqual(shown(model), ['50 m50', '51 m51', '90 m90']);
  assert.equal(model.more, true);
});

test('presence takes names alone or with a status', () => {
  const model = room();
  model.presence({ n: 2, join: ['bob', { user: 'carol', state: 'away', text: 'lunch' }] });
  model.presence({ n: 2, status: [{ user: 'bob', state: 'dnd' }], leave: [] });
  model.presence({ n: 1, leave: ['carol'] });
  assert.deepEqual([...model.present], [['bob', { state: 'dnd', text: undefined }]]);
  model.presence({ n: 500 });
  assert.equal(model.presentCount, 500);
});

test('a message to a contact shows how far it is', () => {
  const model = new RoomModel('wa:111:4917', 'alice', undefined);
  model.delivered({ of: 1, status: 'accepted' });
  model.apply(msg(1, { dir: 'out' }));
  assert.equal(model.message(1).status, 'accepted');
  model.delivered({ of: 1, status: 'failed', error: 131026 });
  assert.deepEqual([model.message(1).status, model.message(1).error], ['failed', 131026]);
  model.delivered({ status: 'read' });
});

test('a WhatsApp room bears the contact’s name once it is known', () => {
  const model = new RoomModel('wa:111:4917', 'alice', undefined);
  assert.equal(model.title, '+4917');
  model.apply(msg(1, { from: 'wa:4917', src: 'whatsapp', name: 'Zoë' }));
  assert.equal(model.title, 'Zoë');
});
