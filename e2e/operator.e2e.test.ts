import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { launchChromium } from './support/chromium.ts';
import { RefusedError, TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { metricOf } from './support/metrics.ts';
import { restante, rowsOf } from './support/restante.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Issue 9, "Act": what an operator can do, by the page in a real browser, by the API and by the command line. */
const CLOSED_WITHIN_MS = 2_000;
const WITHIN = { timeout: 30_000, interval: 50 };
let stack: Stack;
let browser: Browser;
let admin: string;
let token: string;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  stack = await startStack({ env: { OPERATOR_SHOWS_BODIES: 'true', DRAIN_MS: '200' } });
  admin = stack.run.services.find(({ name }) => name.startsWith('notification'))!.adminUrl;
  token = stack.run.adminToken;
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});
beforeEach(() => problems.splice(0));

const account = async (user: string, gateway: number, claims: Record<string, unknown> = {}, device = 'phone') => ({
  url: stack.gatewayUrls[gateway]!,
  user,
  device,
  token: await stack.token(user, claims),
});
const api = (path: string, body?: object, given = token) =>
  call(admin, `/operator/api/${path}`, {
    token: given,
    ...(body ? { body, headers: { 'content-type': 'application/json', 'x-operator': 'test' } } : {}),
  });

async function enter(): Promise<Page> {
  const opened = await browser.newPage();
  opened.on('pageerror', (error) => problems.push(String(error)));
  opened.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await opened.goto(`${admin}/operator`);
  await opened.getByLabel('Your name, for the record').fill('olga');
  await opened.getByLabel('Token').fill(token);
  await opened.getByRole('button', { name: 'Enter' }).click();
  await opened.getByRole('link', { name: 'Gateways' }).waitFor();
  return opened;
}

async function press(button: string, confirm: string): Promise<void> {
  await page.getByRole('main').getByRole('button', { name: button, exact: true }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: confirm, exact: true }).click();
}

test('without the token nothing is shown or done, and guessing is slowed down', async () => {
  const origin = await call(admin, '/operator/api/system', { token, headers: { origin: 'https://evil.test' } });
  expect(origin.status).toBe(403);
  expect((await api('notice', { text: 'x' }, 'wrong')).status).toBe(401);
  expect((await api('system', undefined, '')).status).toBe(401);
  const statuses = [];
  for (let i = 0; i < 12; i++) statuses.push((await api('system', undefined, `guess-${i}`)).status);
  expect(statuses.at(-1)).toBe(429);
  // The right one too, until the window is over: a guesser is not told.
  await vi.waitFor(async () => expect((await api('system')).status).toBe(200), { timeout: 30_000, interval: 500 });
  expect((await call(stack.gatewayUrls[0]!, '/operator')).status).toBe(404);
  expect((await call(stack.run.gateways[0]!.adminUrl, '/operator')).status).toBe(404);
});

test('the page can be no frame, takes no script but its own, and is not kept', async () => {
  const { headers } = await call(admin, '/operator/');
  expect(headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
  expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
});

test('hostile names, numbers and bodies are refused with what is wrong, and never a 500', async () => {
  const hostile = ['..%2f..%2fetc', '%00', '%ff', 'a%20b', `${'x'.repeat(129)}`, '%7Bbob%7D', '*', '%F0%9F%92%A9'];
  for (const name of hostile) {
    expect([400, 404], name).toContain((await api(`users/${name}`)).status);
    expect([400, 404], name).toContain((await api(`users/${name}/revoke`, {})).status);
  }
  expect((await api('users/bob/inbox?limit=0')).status).toBe(400);
  expect((await api('users/bob/inbox?limit=1e9')).status).toBe(400);
  expect((await api('slots/999/drain', {})).status).toBe(404);
  expect((await api('dead-letters/999999/redrive', {})).status).toBe(404);
  expect((await api('notice', { text: '' })).status).toBe(400);
  expect((await api('notice', { text: 7 })).status).toBe(400);
  expect((await api('notice', { text: 'x'.repeat(20_000) })).status).toBe(413);
  const text = await call(admin, '/operator/api/notice', {
    token,
    body: '{"text":"x"}',
    headers: { 'content-type': 'text/plain' },
  });
  expect(text.status).toBe(415);
});

test('search a user, see devices, sessions and entries, read bodies on record only', async () => {
  page = await enter();
  const anna = await TestClient.drained(await account('anna', 0));
  const bert = await TestClient.open({ ...(await account('bert', 1)), ack: 'never' });
  anna.send({ t: 'send', id: 'hello-bert', to: 'bert', body: '<img src=x onerror=alert(1)>' });
  await bert.until('the message', () => bert.messages.length === 1);
  await page.getByLabel('User id, or a part of it').fill('ber');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('link', { name: 'bert' }).click();
  await page.getByRole('table', { name: 'Devices' }).getByText('phone').waitFor();
  await page.getByRole('table', { name: 'Sessions' }).getByText('live').waitFor();
  await page.getByRole('button', { name: 'List entries' }).click();
  const entries = page.getByRole('table', { name: 'Entries' });
  await entries.getByText('hello-bert').waitFor();
  expect(await entries.getByText('onerror').count()).toBe(0);
  await press('List with bodies', 'Read');
  await entries.getByText('<img src=x onerror=alert(1)>').waitFor();
  await page.getByRole('link', { name: 'Trace' }).click();
  await page.getByLabel('Message id').fill('hello-bert');
  await page.getByRole('main').getByRole('button', { name: 'Trace' }).click();
  await page
    .getByRole('table', { name: 'Recipients' })
    .getByRole('row', { name: /bert.*deliver/ })
    .waitFor();
  await page.getByRole('link', { name: 'Audit' }).click();
  await page
    .getByRole('table', { name: 'Audit' })
    .getByRole('row', { name: /olga.*read_bodies.*bert/ })
    .waitFor();
  await anna.close();
  await bert.close();
  expect(problems).toEqual([]);
});

test('disconnect closes all sockets of a user on all gateways; they may come back', async () => {
  const open = await Promise.all(
    [account('carl', 0), account('carl', 1, {}, 'tablet')].map(async (one) => TestClient.drained(await one)),
  );
  const bystander = await TestClient.drained(await account('dora', 0));
  await page.goto(`${admin}/operator/#user/carl`);
  await page.getByRole('table', { name: 'Sessions' }).waitFor();
  await press('Disconnect', 'Disconnect');
  const ordered = performance.now();
  for (const client of open) expect((await client.untilClosed()).code).toBe(4000);
  console.log(
    `both sockets were closed ${Math.round(performance.now() - ordered)} ms after the click (asked: ${CLOSED_WITHIN_MS})`,
  );
  expect(bystander.closed).toBeUndefined();
  await (await TestClient.drained(await account('carl', 0))).close();
  await bystander.close();
});

test('revoke closes them and refuses every token issued until then, after a restart too, by HTTP too; restore lets in again', async () => {
  const issued = Math.floor(Date.now() / 1000);
  const old = await account('eve', 0, { iat: issued });
  const without = await account('eve', 1, { iat: undefined });
  const client = await TestClient.drained(old);
  expect(await restante(stack, ['revoke', 'eve'])).toMatchObject({ code: 0 });
  expect((await client.untilClosed()).code).toBe(4002);
  const refused = async (by: typeof old) => {
    const error = await TestClient.open(by).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RefusedError);
    expect((error as RefusedError).status).toBe(401);
  };
  await vi.waitFor(
    () => Promise.all([refused(old), refused(without), refused({ ...old, url: stack.gatewayUrls[1]! })]),
    WITHIN,
  );
  const sync = { token: old.token };
  expect((await call(stack.gatewayUrls[1]!, '/v1/conversations', sync)).status).toBe(401);
  const later = await account('eve', 0, { iat: issued + 60 });
  await (await TestClient.drained(later)).close();

  stack.killService('gateway-2');
  await vi.waitFor(async () => expect((await call(stack.gatewayUrls[1]!, '/readyz')).status).toBe(200), WITHIN);
  await refused({ ...old, url: stack.gatewayUrls[1]! });

  expect(await restante(stack, ['restore', 'eve'])).toMatchObject({ code: 0 });
  await vi.waitFor(async () => (await TestClient.drained(old)).close(), WITHIN);
});

test('a notice comes to everybody who is connected once, as a message; to one user even when away', async () => {
  const fay = await TestClient.drained(await account('fay', 0));
  const twice = await Promise.all(
    [account('gus', 0), account('gus', 1, {}, 'tablet')].map(async (one) => TestClient.drained(await one)),
  );
  await page.goto(`${admin}/operator/#notice`);
  await page.getByLabel('Text').fill('Back at 14:00');
  await press('Send', 'Send');
  for (const client of [fay, ...twice]) {
    const [message] = await client.until('the notice', () => client.messages.length > 0 && client.messages);
    expect(message).toMatchObject({ from: 'operator', kind: 'notice', body: 'Back at 14:00' });
  }
  expect(await restante(stack, ['notice', 'only you', 'hal'])).toMatchObject({ code: 0 });
  const hal = await TestClient.drained(await account('hal', 1));
  await hal.until('the notice', () => hal.messages.some(({ body }) => body === 'only you'));
  await fay.until('quiet', () => fay.messages.length === 1);
  expect(twice.map(({ messages }) => messages.length)).toEqual([1, 1]);
  for (const client of [fay, hal, ...twice]) await client.close();
});

test('a gateway is drained: its clients go, none comes in, the other takes them, until it is resumed', async () => {
  const ida = await TestClient.drained(await account('ida', 0));
  const jon = await TestClient.drained(await account('jon', 1));
  expect(await restante(stack, ['drain', 'gateway-1'])).toMatchObject({ code: 0 });
  expect((await ida.untilClosed()).code).toBe(4000);
  expect(ida.first('bye')).toMatchObject({ code: 4000 });
  expect(jon.closed).toBeUndefined();
  expect((await call(stack.gatewayUrls[0]!, '/readyz')).status).toBe(503);
  await expect(TestClient.open(await account('ida', 0))).rejects.toMatchObject({ status: 503 });
  await (await TestClient.drained(await account('ida', 1))).close();
  expect(await restante(stack, ['drain', 'gateway-1', 'resume'])).toMatchObject({ code: 0 });
  await vi.waitFor(async () => expect((await call(stack.gatewayUrls[0]!, '/readyz')).status).toBe(200), WITHIN);
  await (await TestClient.drained(await account('ida', 0))).close();
  await jon.close();
});

test('dead letters: one is redriven and comes, another is discarded; neither is open then', async () => {
  const kim = await TestClient.open({ ...(await account('kim', 0)), ack: 'never' });
  const lea = await TestClient.drained(await account('lea', 1));
  for (const id of ['poison-1', 'poison-2']) lea.send({ t: 'send', id, to: 'kim', body: id });
  await kim.until('both', () => kim.messages.length === 2);
  for (const seq of [1, 2]) {
    kim.rules.skipped(kim.state.gen, seq);
    kim.send({ t: 'nack', seq, gen: kim.state.gen, reason: 'can not read it' });
  }
  await page.goto(`${admin}/operator/#letters`);
  const rows = page.getByRole('table', { name: 'Dead letters' }).getByRole('row', { name: /kim/ });
  await vi.waitFor(async () => {
    await page.reload();
    await page.getByRole('heading', { name: 'Dead letters' }).waitFor();
    expect(await rows.count()).toBe(2);
  }, WITHIN);
  await kim.close();
  // The newest comes first.
  await rows.nth(0).getByRole('button', { name: 'Discard' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Discard' }).click();
  await vi.waitFor(async () => expect(await rows.count()).toBe(1), WITHIN);
  await rows.nth(0).getByRole('button', { name: 'Redrive' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Redrive' }).click();
  await vi.waitFor(async () => expect((await api('dead-letters')).json.letters).toEqual([]), WITHIN);
  // Another entry of the same message, which a device's own rules would take for a mistake: they begin anew.
  const back = await TestClient.open(await account('kim', 1));
  await back.until('the one that was redriven', () => back.messages.length === 1);
  lea.send({ t: 'send', id: 'healthy-3', to: 'kim', body: 'live' });
  await back.until('what follows', () => back.messages.length === 2);
  expect(back.messages.map(({ id }) => id)).toEqual(['poison-1', 'healthy-3']);
  await back.close();
  await lea.close();
});

test('all of it is on record, newest first, with who it was', async () => {
  const { json } = await api('audit?limit=50');
  const actions = json.actions as { t: string; by: string; user?: string }[];
  const done = actions.map(({ t }) => t).reverse();
  const expected = [
    'read_bodies',
    'disconnect',
    'revoke',
    'restore',
    'notice',
    'notice',
    'drain',
    'resume',
    'discard',
    'redrive',
  ];
  expect(done).toEqual(expected);
  expect(actions.find(({ t }) => t === 'disconnect')).toMatchObject({
    user: 'carl',
    by: expect.stringMatching(/^olga@/),
  });
  expect(problems).toEqual([]);
  expect(await metricOf(stack.run.gateways[0]!.adminUrl, 'restante_gateway_slot')).toBeGreaterThanOrEqual(0);
  const shown = await restante(stack, ['user', 'carl']);
  expect(JSON.parse(shown.out)).toMatchObject({ known: true, devices: [{ device: 'phone' }, { device: 'tablet' }] });
});

test('the command line says what the API does, and reads bodies on record only', async () => {
  const lines = async (...args: string[]) => {
    const { code, out, note } = await restante(stack, [...args, '--data-dir', stack.dir], { DATA_DIR: '' });
    expect([code, note]).toEqual([0, '']);
    return rowsOf(out);
  };
  const has = async (path: string) => (await api(path)).json;
  expect(await lines('users', 'ber')).toEqual([{ users: ['bert'], more: false }]);
  const { known, devices, cursors, conversations } = await has('users/bert');
  expect(await lines('user', 'bert')).toMatchObject([{ known, devices, cursors, conversations }]);
  const plain = await lines('entries', 'bert');
  expect(plain).toEqual((await has('users/bert/inbox')).entries);
  expect(plain).toEqual([expect.objectContaining({ id: 'hello-bert' })]);
  expect(plain[0]).not.toHaveProperty('body');
  const before = (await has('audit')).actions as object[];
  expect(await lines('audit')).toEqual(before);
  expect(await lines('entries', 'bert', '--bodies')).toMatchObject([{ body: '<img src=x onerror=alert(1)>' }]);
  const [read, ...rest] = await lines('audit');
  expect(read).toMatchObject({ t: 'read_bodies', user: 'bert' });
  expect(rest).toEqual(before);
});
