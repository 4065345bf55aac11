import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TestClient } from '../support/client.ts';
import { metricOf } from '../support/metrics.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { Attackers, type Counts, MIX, type Order } from './attackers.ts';

/**
 * npm run attack: 10,000 sockets that mean no good (slowloris, silence, bad tokens, floods, frames too large), while 100 honest users send to
 * one another. Prints what the honest see before and during: the 99th percentile from send to receipt, and what was lost.
 */
const HONEST = 100;
const SENDS_PER_SECOND_EACH = 1;
const ATTACKING_USERS = 600;
const BEFORE_SECONDS = 10;
const SETTLE_MS = 30_000;
const MOST_RAMP_SECONDS = 60;

const seconds = Number(process.argv[2] ?? 30);
const scale = Number(process.argv[3] ?? 1);
const attackers = Object.values(MIX).reduce((sum, one) => sum + one, 0) * scale;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Honest = { clients: TestClient[]; sentAt: Map<string, number>; gotAt: Map<string, number> };

async function connectHonest(stack: Stack): Promise<Honest> {
  const gotAt = new Map<string, number>();
  const open = async (i: number) => {
    const user = `honest-${i}`;
    const client: TestClient = await TestClient.drained({
      url: stack.gatewayUrls[i % stack.gatewayUrls.length]!,
      user,
      device: 'phone',
      token: await stack.token(user),
      onFrame: (frame) => {
        if (frame.t === 'message') gotAt.set(String(frame.id), performance.now());
      },
    });
    return client;
  };
  return { clients: await Promise.all(Array.from({ length: HONEST }, (_, i) => open(i))), sentAt: new Map(), gotAt };
}

/** Each sends so often for so long, evenly. @returns the ids */
async function converse({ clients, sentAt }: Honest, name: string, forSeconds: number): Promise<string[]> {
  const ids: string[] = [];
  const began = performance.now();
  const total = HONEST * SENDS_PER_SECOND_EACH * forSeconds;
  for (let n = 0; n < total; n++) {
    const due = began + (n * 1000) / (HONEST * SENDS_PER_SECOND_EACH);
    if (due > performance.now()) await pause(due - performance.now());
    const from = n % HONEST;
    const id = `${name}-${n}-${from}`;
    sentAt.set(id, performance.now());
    clients[from]!.send({ t: 'send', id, to: `honest-${(from + 1 + (n % 97)) % HONEST}`, body: 'how are you?' });
    ids.push(id);
  }
  return ids;
}

async function report(
  name: string,
  ids: string[],
  { sentAt, gotAt, clients }: Honest,
): Promise<{ p99: number; lost: number }> {
  const end = performance.now() + SETTLE_MS;
  while (ids.some((id) => !gotAt.has(id)) && performance.now() < end) await pause(50);
  const ms = ids.flatMap((id) => (gotAt.has(id) ? [gotAt.get(id)! - sentAt.get(id)!] : [])).sort((a, b) => a - b);
  const at = (share: number) => ms[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? Number.NaN;
  const lost = ids.length - ms.length;
  const cut = clients.filter(({ closed }) => closed !== undefined).length;
  const [p50, p99, most] = [at(0.5), at(0.99), at(1)].map((value) => value.toFixed(1));
  console.log(
    `${name}: ${ids.length} sent, ${lost} lost, ${cut} honest connections cut; p50 ${p50} ms, p99 ${p99} ms, at most ${most} ms`,
  );
  return { p99: at(0.99), lost: lost + cut };
}

async function attack(): Promise<number> {
  const stack = await startStack({ gateways: 2 });
  let child: ChildProcess | undefined;
  try {
    const honest = await connectHonest(stack);
    await report('before', await converse(honest, 'before', BEFORE_SECONDS), honest);
    const tokens = await Promise.all(Array.from({ length: ATTACKING_USERS }, (_, i) => stack.token(`attacker-${i}`)));
    child = fork(fileURLToPath(import.meta.url), ['attackers']);
    let counts: Counts | undefined;
    child.on('message', (message) => {
      counts = message as Counts;
    });
    child.send({ urls: stack.gatewayUrls, tokens, scale } satisfies Order);
    const ramp = performance.now() + MOST_RAMP_SECONDS * 1000;
    while ((counts?.open ?? 0) < attackers * 0.95 && performance.now() < ramp) await pause(200);
    console.log(`attackers: ${counts?.open} sockets of ${attackers}`);
    const during = await report('during', await converse(honest, 'during', seconds), honest);
    console.log(
      `attackers: ${counts?.open} sockets at the end; opened ${JSON.stringify(counts?.opened)}; thrown out ${JSON.stringify(counts?.ended)}`,
    );
    for (const { name, adminUrl } of stack.run.gateways) {
      const [connections, rss] = await Promise.all([
        metricOf(adminUrl, 'restante_gateway_connections'),
        metricOf(adminUrl, 'process_resident_memory_bytes'),
      ]);
      console.log(`${name}: ${connections} connections, ${Math.round(rss / 2 ** 20)} MiB`);
    }
    console.log(`p99 ${during.p99.toFixed(1)} ms (asked: under 250), lost ${during.lost} (asked: 0)`);
    return during.p99 < 250 && during.lost === 0 ? 0 : 1;
  } finally {
    child?.kill('SIGKILL');
    await stack.kill();
  }
}

if (process.argv[2] === 'attackers') {
  process.on('message', (order) => {
    const attacking = new Attackers(order as Order);
    setInterval(() => process.send?.(attacking.counts()), 500);
  });
  process.on('disconnect', () => process.exit(0));
} else {
  process.exitCode = await attack();
}
