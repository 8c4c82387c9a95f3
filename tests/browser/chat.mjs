// Two people chat in a real browser: with a server that runs (`--url`), with one that the test
// starts and kills (`--server`), or with the stand-in, which loses events on command.
//
//     node tests/browser/chat.mjs [--url URL | --server target/release/ringpost] [--shots DIR]
//
// Needs playwright-core and Chromium; tests/browser/run.sh sees to both.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { StandIn } from './standin.mjs';

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, server: { type: 'string' }, shots: { type: 'string' } },
});
const { chromium } = createRequire(new URL('../../target/browser/', import.meta.url))(
  'playwright-core',
);
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];
/** Rooms of a server that keeps its log must not meet those of an earlier run. */
const room = `browser-${Date.now().toString(36)}`;
const faults = [];

/** The real server as a child of the test, with a directory of its own. */
class Server {
  async start(listen = '127.0.0.1:0') {
    this.data ??= await mkdtemp(`${tmpdir()}/ringpost-browser-`);
    const args = ['serve', '--dev', '--listen', listen, '--data', this.data];
    this.child = spawn(options.server, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    this.url = await new Promise((done, fail) => {
      const hear = (data) => {
        said += data;
        const found = /listening on (http:\/\/[\w.:]+)/.exec(said);
        if (found) done(`${found[1]}/`);
      };
      this.child.stdout.on('data', hear);
      this.child.stderr.on('data', hear);
      this.child.on('error', fail);
      this.child.on('exit', (code) => fail(new Error(`the server ended with ${code}: ${said}`)));
      setTimeout(
        () => fail(new Error(`the server is not ready after 10 s: ${said}`)),
        10_000,
      ).unref();
    });
    return this;
  }

  async kill(signal) {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill(signal);
    await ended;
  }

  async stop() {
    await this.kill('SIGTERM');
    await rm(this.data, { recursive: true, force: true });
  }
}

const server = options.server ? await new Server().start() : null;
const standin = server || options.url ? null : await new StandIn().start();
const base = options.url ?? (server ?? standin).url;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: FLAGS,
});

/** The cable between a browser and the server: it can be cut and mended. */
class Cable {
  #ends = new Set();
  #whole = true;

  async plug(target) {
    const server = createServer((near) => {
      if (!this.#whole) return near.destroy();
      const far = connect(Number(target.port), target.hostname);
      near.pipe(far).pipe(near);
      for (const end of [near, far]) {
        this.#ends.add(end);
        end.on('error', () => {});
        end.on('close', () => {
          this.#ends.delete(end);
          near.destroy();
          far.destroy();
        });
      }
      return undefined;
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    server.unref();
    this.url = `http://127.0.0.1:${server.address().port}/`;
    return this;
  }

  cut() {
    this.#whole = false;
    for (const end of this.#ends) end.destroy();
  }

  mend() {
    this.#whole = true;
  }
}

const cables = {};

async function page(user, settings = {}) {
  const cable = (cables[user] = await new Cable().plug(new URL(base)));
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...settings });
  const opened = await context.newPage();
  opened.setDefaultTimeout(10_000);
  opened.on('pageerror', (error) => faults.push(`${user}: ${error.stack ?? error}`));
  opened.on('console', (message) => {
    // A refused connection is what the tests provoke; anything else is a fault of ours.
    const expected = /WebSocket connection to|ERR_CONNECTION|ERR_INTERNET/.test(message.text());
    if (message.type() === 'error' && !expected) faults.push(`${user}: ${message.text()}`);
  });
  await opened.goto(`${cable.url}?room=${room}&user=${user}`);
  await opened.locator('#light.open').waitFor({ state: 'attached' });
  return opened;
}

async function say(from, text) {
  await from.locator('#text').fill(text);
  await from.locator('#text').press('Enter');
}

/** The message with this text, shown exactly once. */
async function shown(at, text) {
  const matching = (wanted) =>
    [...document.querySelectorAll('#timeline .text')]
      .filter((node) => node.textContent === wanted)
      .map((node) => node.closest('.msg').dataset.cid);
  // Asked from outside: the page's policy forbids the evaluation that waitForFunction does.
  let found = [];
  for (let tries = 0; tries < 200 && found.length === 0; tries += 1) {
    found = await at.evaluate(matching, text);
    if (found.length === 0) await at.waitForTimeout(50);
  }
  assert.equal(found.length, 1, `shown once: ${JSON.stringify(text)}`);
  return at.locator(`.msg[data-cid="${found[0]}"]`);
}

async function texts(at) {
  return at.locator('#timeline .msg .text').allTextContents();
}

async function shot(at, name) {
  if (!options.shots) return;
  await mkdir(options.shots, { recursive: true });
  await at.screenshot({ path: `${options.shots}/${name}.png` });
}

const STEPS = {
  async 'two people see each other write'({ alice, bob }) {
    await say(alice, 'Good morning');
    await shown(bob, 'Good morning');
    await say(bob, 'Morning! See https://example.org/a_(b), and <b>not bold</b>');
    const seen = await shown(alice, 'Morning! See https://example.org/a_(b), and <b>not bold</b>');
    assert.equal(await seen.locator('a').getAttribute('href'), 'https://example.org/a_(b)');
    assert.equal(await seen.locator('.text b').count(), 0);
    await alice.locator('#present', { hasText: 'bob' }).waitFor();
  },

  async 'an own message is acknowledged, then read'({ alice, bob }) {
    await say(alice, 'did you get it?');
    const mine = await shown(alice, 'did you get it?');
    await alice.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    await bob.bringToFront();
    await shown(bob, 'did you get it?');
    await mine.and(alice.locator('.read')).waitFor();
  },

  async 'replies, edits and deletions reach the other'({ alice, bob }) {
    const question = await shown(bob, 'did you get it?');
    await question.hover();
    await question.locator('[data-act=reply]').click();
    await say(bob, 'yes');
    const answer = await shown(alice, 'yes');
    await answer.locator('.quote', { hasText: 'did you get it?' }).waitFor();
    await bob.locator('#text').press('ArrowUp');
    assert.equal(await bob.locator('#text').inputValue(), 'yes');
    await say(bob, 'yes, twice');
    await shown(alice, 'yes, twice');
    await say(bob, 'oops');
    await shown(alice, 'oops');
    const wrong = await shown(bob, 'oops');
    await bob.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    await wrong.hover();
    await wrong.locator('[data-act=delete]').click();
    await wrong.locator('[data-act=delete]').click();
    await alice.locator('.text.gone').waitFor();
    assert.ok(!(await texts(alice)).includes('oops'));
  },

  async 'typing is shown and forgotten'({ alice, bob }) {
    await bob.locator('#text').pressSequentially('hm');
    await alice.locator('#typing', { hasText: 'bob is typing' }).waitFor();
    await say(bob, 'hmm');
    await shown(alice, 'hmm');
    await alice.locator('#typing:empty').waitFor({ state: 'attached' });
  },

  async 'a command answers only who asked'({ alice, bob }) {
    await say(alice, '/help');
    await alice.locator('.card.ephemeral').waitFor();
    assert.equal(await bob.locator('.card').count(), 0);
    await say(alice, '/nosuchcommand');
    await alice.locator('.card.error').waitFor();
  },

  async 'commands and their arguments are completed'({ alice }) {
    const text = alice.locator('#text');
    await text.pressSequentially('/ki');
    await alice.locator('#suggest li', { hasText: '/kick' }).waitFor();
    await text.press('Tab');
    assert.equal(await text.inputValue(), '/kick ');
    await alice.locator('#suggest li', { hasText: 'bob' }).click();
    assert.equal(await text.inputValue(), '/kick bob ');
    await text.fill('');
  },

  async 'unread messages are counted in other rooms'({ alice, bob }) {
    for (const person of [alice, bob]) {
      await person.locator('#join-room').fill(`${room}-2`);
      await person.locator('#join-room').press('Enter');
    }
    await alice.locator(`[data-room="${room}"]`).click();
    await say(bob, 'over here');
    await alice.locator(`[data-room="${room}-2"] .unread`, { hasText: '1' }).waitFor();
    await alice.locator(`[data-room="${room}-2"]`).click();
    await alice.locator('#timeline .new').waitFor();
    for (const person of [alice, bob]) await person.locator(`[data-room="${room}"]`).click();
  },

  async 'what is written offline is sent once, in order, and missed messages come'({ alice, bob }) {
    cables.alice.cut();
    await alice.locator('#banner.warn').waitFor();
    await say(alice, 'offline one');
    await say(alice, 'offline two');
    await say(bob, 'while you were away');
    await shown(alice, 'offline two');
    await shot(alice, 'offline');
    cables.alice.mend();
    await shown(alice, 'while you were away');
    await shown(bob, 'offline one');
    await shown(bob, 'offline two');
    await alice.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    assert.deepEqual(await texts(alice), await texts(bob));
    await shot(alice, 'resumed');
  },

  async 'history loads when scrolling up'({ alice, bob }) {
    // More than a page of events; what goes beyond the server's rate is sent when it allows.
    for (let i = 0; i < 26; i += 1) {
      await say(bob, `line ${i}\n\n\n\n.`);
      await say(alice, `row ${i}`);
    }
    const last = [`line 25\n\n\n\n.`, 'row 25'];
    for (const text of last) await shown(alice, text);
    await alice.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    await alice.reload();
    for (const text of last) await shown(alice, text);
    assert.ok(!(await texts(alice)).includes('Good morning'));
    for (let i = 0; i < 20 && !(await texts(alice)).includes('Good morning'); i += 1) {
      await alice.locator('#scroll').evaluate((node) => {
        node.scrollTop = 0;
      });
      await alice.waitForTimeout(200);
    }
    await shown(alice, 'Good morning');
    const numbers = await alice
      .locator('.msg')
      .evaluateAll((nodes) => nodes.map((node) => Number(node.dataset.o)));
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b),
    );
  },

  async 'what a crash took back disappears, and the page says so'({ alice, bob }) {
    if (!standin) return 'skipped: only the stand-in crashes on command';
    await say(bob, 'kept');
    await shown(alice, 'kept');
    await bob.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    await say(bob, 'lost');
    await shown(alice, 'lost');
    standin.crash(1);
    await alice.locator('#banner.bad', { hasText: 'taken back' }).waitFor();
    await alice.locator('.text:text-is("lost")').waitFor({ state: 'detached' });
    await shown(alice, 'kept');
    await shot(alice, 'rolled-back');
    await say(bob, 'after the crash');
    await shown(alice, 'after the crash');
    return undefined;
  },

  async 'a killed server comes back with all that it acknowledged'({ alice, bob }) {
    if (!server) return 'skipped: only with --server';
    await say(alice, 'before the kill');
    await alice.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    await server.kill('SIGKILL');
    await alice.locator('#banner.warn').waitFor();
    await say(alice, 'during the kill');
    await server.start(new URL(server.url).host);
    await shown(bob, 'before the kill');
    await shown(bob, 'during the kill');
    await shown(alice, 'before the kill');
    await alice.locator('.msg.mine.pending').waitFor({ state: 'detached' });
    return undefined;
  },

  async 'a phone shows one pane at a time'() {
    const phone = await page('carol', {
      viewport: { width: 390, height: 800 },
      hasTouch: true,
      isMobile: true,
    });
    await phone.locator('#timeline .msg').first().waitFor();
    assert.ok(!(await phone.locator('#side').isVisible()));
    await phone.locator('#back').click();
    await phone.locator('#side').waitFor();
    assert.ok(!(await phone.locator('main').isVisible()));
    const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    await phone.context().close();
  },
};

let failed = 0;
try {
  const people = { alice: await page('alice'), bob: await page('bob') };
  for (const [name, step] of Object.entries(STEPS)) {
    const begin = Date.now();
    try {
      const note = await step(people);
      console.log(`ok   ${name} (${note ?? `${Date.now() - begin} ms`})`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}\n${error.stack}`);
      for (const [who, at] of Object.entries(people)) await shot(at, `failed-${failed}-${who}`);
    }
  }
} finally {
  await browser.close();
  await (server ?? standin)?.stop();
}
for (const fault of faults) console.log(`FAIL the page complained: ${fault}`);
process.exitCode = failed || faults.length ? 1 : 0;
