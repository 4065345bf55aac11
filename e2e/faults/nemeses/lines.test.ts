import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Random } from '../../model/random.ts';
import { type Line, startLine } from '../line.ts';
import { turns } from '../system.ts';
import { lineNemeses } from './lines.ts';

/** Answers each piece with itself. */
let echo: net.Server;
let line: Line;

beforeEach(async () => {
  echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  line = await startLine({ port: (echo.address() as net.AddressInfo).port });
});

afterEach(async () => {
  await line.close();
  echo.close();
});

/** The quiet has begun: nothing lasts longer than it needs. @returns what it says has happened */
async function strike(what: string, patienceMs: number): Promise<string[]> {
  const told: string[] = [];
  const lines = { kafka: [line], redis: [], dynamodb: [], clients: [] };
  const nemesis = lineNemeses(patienceMs).find(({ name }) => name === `kafka-${what}`)!;
  const signal = AbortSignal.abort();
  const system = { lines, alone: turns() };
  await nemesis.strike({ system, random: new Random(1), signal, happened: (detail) => told.push(detail) });
  return told;
}

async function connect(): Promise<net.Socket> {
  const client = net.connect(line.port, '127.0.0.1').on('error', () => {});
  client.write('first');
  await once(client, 'data');
  return client;
}

const WITHOUT_END_MS = 30_000;

test.each(['slow', 'cut', 'answers-lost'])('%s has not happened where nothing was on the line', async (what) => {
  expect(await strike(what, 50)).toEqual([]);
});

test.each(['slow', 'answers-lost'])('%s has not happened where nothing passed', async (what) => {
  const client = await connect();
  expect(await strike(what, 50)).toEqual([]);
  client.destroy();
});

test('cut has happened where a connection was, and waits for one', async () => {
  const struck = strike('cut', WITHOUT_END_MS);
  const client = await connect();
  await once(client, 'close');
  expect(await struck).toEqual(['1 connections']);
});

test.each([
  ['slow', /^[12] requests and answers came \d+ ms later$/],
  ['answers-lost', /^1 answers, and then 1 connections$/],
])('%s has happened where something passed, and waits for it', async (what, told) => {
  const client = await connect();
  const struck = strike(what, WITHOUT_END_MS);
  client.write('second');
  expect(await struck).toEqual([expect.stringMatching(told)]);
  client.destroy();
});
