import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type SendEvent, SocketSender } from './send-messages.ts';

/** The gateway's side of the protocol, as far as a sender sees it. */
type Answer = (frame: { id: string; body: string }, nth: number, socket: WebSocket) => void;
let server: WebSocketServer | undefined;

afterEach(() => new Promise<void>((done) => (server === undefined ? done() : server.close(() => done()))));

async function sendAll(
  texts: string[],
  answer: Answer,
  inFlight = 1,
): Promise<{ events: SendEvent[]; arrived: { id: string; body: string }[] }> {
  const arrived: { id: string; body: string }[] = [];
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((done) => server?.once('listening', done));
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const frame = JSON.parse(data.toString()) as { id: string; body: string };
      arrived.push(frame);
      answer(frame, arrived.length, socket);
    });
  });
  const events: SendEvent[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sender = new SocketSender({
    gateway: { name: 'g', url },
    token: async () => 't',
    device: 'cli',
    inFlight,
    timeoutMs: 5000,
    onEvent: (event) => events.push(event),
  });
  for (const body of texts) await sender.send({ to: 'bob', body });
  await sender.finish();
  return { events, arrived };
}

const tell = (socket: WebSocket, frame: object) => socket.send(JSON.stringify(frame));
const take: Answer = ({ id }, nth, socket) => {
  tell(socket, { t: 'accepted', id, at: 1 });
  tell(socket, { t: 'stored', id, at: 2, conversation: 'dm:a:b', position: nth });
};
const refuse: Answer = ({ id }, _, socket) =>
  tell(socket, { t: 'rejected', id, code: 'rate_limited', message: 'slower', retryable: true, retryAfterMs: 1 });

test('reports accepted, then stored, of each', async () => {
  const { events } = await sendAll(['one', 'two'], take);
  expect(events.map((event) => event.status)).toEqual(['accepted', 'stored', 'accepted', 'stored']);
});

test('keeps the order where the rate limit makes one wait', async () => {
  let refused = 0;
  const { events, arrived } = await sendAll(['one', 'two', 'three'], (frame, nth, socket) => {
    if (frame.body !== 'two' || refused++ > 0) take(frame, nth, socket);
    else refuse(frame, nth, socket);
  });
  expect(arrived.map((frame) => frame.body)).toEqual(['one', 'two', 'two', 'three']);
  expect(new Set(arrived.map((frame) => frame.id)).size).toBe(3);
  expect(events.filter((event) => event.status === 'stored')).toHaveLength(3);
});

test('where a crowd is refused, all come in the end, each once', async () => {
  const texts = Array.from({ length: 40 }, (_, i) => String(i));
  let tokens = 8;
  const taken: string[] = [];
  const { events } = await sendAll(
    texts,
    (frame, nth, socket) => {
      if (tokens-- > 0) {
        taken.push(frame.body);
        take(frame, nth, socket);
        return;
      }
      tokens = 2;
      refuse(frame, nth, socket);
    },
    16,
  );
  expect(events.filter((event) => event.status === 'stored')).toHaveLength(40);
  expect(new Set(taken).size).toBe(40);
});

test('after a lost connection the same ids are sent again, in order', async () => {
  const { events, arrived } = await sendAll(
    ['one', 'two', 'three'],
    (frame, nth, socket) => {
      if (nth === 3) socket.terminate();
      else if (nth > 3) take(frame, nth, socket);
    },
    3,
  );
  expect(arrived.map((frame) => frame.body)).toEqual(['one', 'two', 'three', 'one', 'two', 'three']);
  expect(arrived.slice(3).map((frame) => frame.id)).toEqual(arrived.slice(0, 3).map((frame) => frame.id));
  expect(events.filter((event) => event.status === 'stored')).toHaveLength(3);
});

test('a rejection that no retry can change is final, and told', async () => {
  const { events } = await sendAll(['one'], ({ id }, _nth, socket) =>
    tell(socket, { t: 'rejected', id, code: 'not_a_member', message: 'no', retryable: false }),
  );
  expect(events).toMatchObject([{ status: 'rejected', code: 'not_a_member' }]);
});

test('a close that forbids coming back ends it', async () => {
  await expect(sendAll(['one'], (_frame, _nth, socket) => socket.close(4003, 'replaced'))).rejects.toThrow(
    '4003 (replaced)',
  );
});
