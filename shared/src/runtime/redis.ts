import { createHash } from 'node:crypto';
import calculateSlot from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { messageOf, UnavailableError } from './errors.ts';

/** One call of a script: the keys all share a hash tag, so that it runs on one node of a cluster. */
export type ScriptCall = { script: string; keys: string[]; args: (string | number)[] };
export type RedisValue = string | number | null | RedisValue[];
/** Calls of one caller, waiting for the end of this turn of the event loop. */
type Waiting = { calls: ScriptCall[]; resolve: (replies: RedisValue[]) => void; reject: (error: unknown) => void };
type Script = { sha: string; lua: string };

const CONNECT_TIMEOUT_MS = 5_000;
/** A Redis that answers nothing for this long is treated as gone: the connection is closed, what waits on it fails and is retried. */
const SOCKET_TIMEOUT_MS = 10_000;
const RECONNECT_MAX_MS = 1_000;
const REPLICA_TIMEOUT_MS = 1_000;
const MAX_TAGS_TRIED = 100_000;

function partsOf(url: string) {
  const { hostname, port, protocol, username, password } = new URL(url);
  return { hostname, port, protocol, username: decodeURIComponent(username), password: decodeURIComponent(password) };
}

/**
 * A connection to Redis, or to a cluster of it, that runs scripts in pipelines.
 *
 * Nothing is queued while there is no connection and nothing is resent after one: a script carries the identity of the store
 * that it was meant for (decision 10), and a resend would carry it to another. Callers retry, with the new identity.
 */
export class RedisStore {
  readonly client: Redis | Cluster;
  /**
   * Called by their hash, not as commands of ioredis: each of its pipelines would be given all of these, which cost as much as what is in
   * the pipeline.
   */
  readonly #scripts = new Map<string, Script>();
  /** How many of the scripts a node knows. */
  readonly #loaded = new WeakMap<Redis, number>();
  readonly #identities = new WeakMap<Redis, string>();
  readonly #identifying = new Map<Redis, Promise<void>>();
  readonly #hasReplica = new WeakSet<Redis>();
  readonly #waiting = new Map<Redis, Waiting[]>();

  /** @param options `username` and `password` are for a URL that has none: a password belongs in no address */
  constructor(options: {
    url: string;
    cluster: boolean;
    username?: string | undefined;
    password?: string | undefined;
    logger: Logger;
  }) {
    const { hostname, port, protocol, ...inUrl } = partsOf(options.url);
    const username = inUrl.username || options.username;
    const password = inUrl.password || options.password;
    const common = {
      enableOfflineQueue: false,
      // Commands of one turn of the event loop share a write, as scripts do.
      enableAutoPipelining: true,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      retryStrategy: (attempt: number) => Math.min(20 * 2 ** Math.min(attempt, 10), RECONNECT_MAX_MS),
      ...(username ? { username } : {}),
      ...(password ? { password } : {}),
      ...(protocol === 'rediss:' ? { tls: {} } : {}),
    };
    const host = hostname.replace(/^\[|\]$/g, '');
    this.client = options.cluster
      ? new Cluster([{ host, port: Number(port || 6379) }], {
          enableOfflineQueue: false,
          enableAutoPipelining: true,
          clusterRetryStrategy: common.retryStrategy,
          redisOptions: common,
          // Nodes are called by name, not by the address that it stands for: their certificates know names only.
          ...(protocol === 'rediss:' ? { dnsLookup: (name, callback) => callback(null, name) } : {}),
          slotsRefreshTimeout: 3_000,
        })
      : new Redis({ ...common, host, port: Number(port || 6379) });
    this.client.on('error', (error: Error) => options.logger.warn({ err: error.message }, 'redis connection'));
  }

  /** Makes a script callable by name. */
  define(name: string, lua: string): void {
    this.#scripts.set(name, { sha: createHash('sha1').update(lua).digest('hex'), lua });
  }

  /** Resolves once scripts can be run. Rejects after `timeoutMs`: the caller says what it needs Redis for. */
  async ready(timeoutMs = 30_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (this.client.status !== 'ready') {
      if (Date.now() > end) throw new UnavailableError(`Redis is not reachable within ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await this.#identify(this.#nodes());
  }

  isReady(): boolean {
    return this.client.status === 'ready';
  }

  /**
   * Runs scripts, a pipeline a node, in the order given where they share a node. Callers of one turn of the event loop share it:
   * what costs is the write, not what is in it.
   * @param calls without their first argument, the identity of the store, which is put in here
   * @returns a reply each, in the order of the calls
   * @throws UnavailableError where any could not be run: all may be run again, they are idempotent
   */
  async run(calls: ScriptCall[]): Promise<RedisValue[]> {
    if (calls.length === 0) return [];
    if (!this.isReady()) throw new UnavailableError('Redis is not connected');
    if (this.client instanceof Redis) return this.#runOn(this.client, calls);
    try {
      return await this.#runOnNodes(calls);
    } catch (error) {
      // The slots may be elsewhere, or their node back: looked up for the next try.
      this.client.refreshSlotsCache();
      throw error;
    }
  }

  async #runOnNodes(calls: ScriptCall[]): Promise<RedisValue[]> {
    const byNode = new Map<Redis, number[]>();
    calls.forEach((call, index) => {
      const node = this.#nodeOf(call.keys[0]!);
      const indexes = byNode.get(node);
      if (indexes) indexes.push(index);
      else byNode.set(node, [index]);
    });
    const replies: RedisValue[] = new Array(calls.length);
    await Promise.all(
      [...byNode].map(async ([node, indexes]) => {
        const part = await this.#runOn(
          node,
          indexes.map((index) => calls[index]!),
        );
        indexes.forEach((index, i) => {
          replies[index] = part[i]!;
        });
      }),
    );
    return replies;
  }

  async runOne(call: ScriptCall): Promise<RedisValue> {
    const [reply] = await this.run([call]);
    return reply!;
  }

  /**
   * A tag for each node that takes writes: a key with {tag} in it lies there. What is kept per node, such as the mark that it has lost
   * nothing, is kept under these.
   */
  nodeTags(): string[] {
    if (this.client instanceof Redis) return ['0'];
    const tags = new Map<string, string>();
    const nodes = this.#nodes().length;
    for (let i = 0; tags.size < nodes && i < MAX_TAGS_TRIED; i++) {
      const address = this.client.slots[calculateSlot(`{${i}}`)]?.[0];
      if (address !== undefined && !tags.has(address)) tags.set(address, String(i));
    }
    return [...tags.values()];
  }

  /**
   * Resolves once a replica has what was written so far, where there is one (WAIT 1): a failover then loses none of it.
   * @throws UnavailableError where the replica has not answered in time
   */
  async replicated(): Promise<void> {
    await Promise.all(
      this.#nodes().map(async (node) => {
        if (!this.#hasReplica.has(node)) return;
        const acked = await node.wait(1, REPLICA_TIMEOUT_MS).catch((error: unknown) => {
          throw new UnavailableError(`Redis WAIT: ${messageOf(error)}`, { cause: error });
        });
        if (acked >= 1) return;
        // It may have left: then nobody is waited for.
        this.#identities.delete(node);
        this.#hasReplica.delete(node);
        await this.#identify([node]);
        if (this.#hasReplica.has(node)) throw new UnavailableError('Redis: no replica has confirmed the writes');
      }),
    );
  }

  async close(): Promise<void> {
    this.client.disconnect();
  }

  /**
   * A node of a cluster is spoken to by its own connection: the cluster's pipelines would send calls again, to wherever their slot is by
   * then, with the identity of the store that they were not meant for any more.
   */
  async #runOn(node: Redis, calls: ScriptCall[]): Promise<RedisValue[]> {
    if (!this.#isKnown(node)) await this.#identify([node]);
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(node);
      if (waiting) waiting.push({ calls, resolve, reject });
      else {
        this.#waiting.set(node, [{ calls, resolve, reject }]);
        setImmediate(() => void this.#runGathered(node));
      }
    });
  }

  async #runGathered(node: Redis): Promise<void> {
    const callers = this.#waiting.get(node) ?? [];
    this.#waiting.delete(node);
    const calls = callers.length === 1 ? callers[0]!.calls : callers.flatMap((caller) => caller.calls);
    let replies: [Error | null, unknown][];
    try {
      replies = await this.#pipeline(node, calls);
      const unknown = [...replies.keys()].filter((i) => replies[i]![0]?.message.startsWith('NOSCRIPT'));
      if (unknown.length > 0) {
        // Somebody has flushed them (SCRIPT FLUSH): these calls have not run.
        this.#loaded.delete(node);
        await this.#identify([node]);
        const again = await this.#pipeline(
          node,
          unknown.map((i) => calls[i]!),
        );
        unknown.forEach((i, k) => {
          replies[i] = again[k]!;
        });
      }
    } catch (error) {
      for (const { reject } of callers) reject(error);
      return;
    }
    let from = 0;
    for (const caller of callers) {
      const own = replies.slice(from, from + caller.calls.length);
      from += caller.calls.length;
      const failed = own.findIndex(([error]) => error);
      if (failed < 0) caller.resolve(own.map(([, reply]) => reply as RedisValue));
      else {
        const { script, keys } = caller.calls[failed]!;
        const cause = own[failed]![0]!;
        caller.reject(new UnavailableError(`Redis, ${script} of ${keys[0]}: ${cause.message}`, { cause }));
      }
    }
  }

  async #pipeline(node: Redis, calls: ScriptCall[]): Promise<[Error | null, unknown][]> {
    // From here to exec() nothing is awaited: the identity is that of the connection the pipeline goes out on.
    const identity = this.#identities.get(node);
    if (identity === undefined || node.status !== 'ready')
      throw new UnavailableError('Redis: the connection was lost again');
    const pipeline = node.pipeline();
    for (const { script, keys, args } of calls) {
      pipeline.evalsha(this.#scripts.get(script)!.sha, keys.length, ...keys, identity, ...args);
    }
    try {
      const replies = (await pipeline.exec()) ?? [];
      if (replies.length !== calls.length) throw new Error(`${replies.length} replies to ${calls.length} calls`);
      return replies;
    } catch (error) {
      throw new UnavailableError(`Redis: ${messageOf(error)}`, { cause: error });
    }
  }

  #nodes(): Redis[] {
    return this.client instanceof Redis ? [this.client] : this.client.nodes('master');
  }

  #nodeOf(key: string): Redis {
    const cluster = this.client as Cluster;
    const address = cluster.slots[calculateSlot(key)]?.[0];
    const node = this.#nodes().find((candidate) => `${candidate.options.host}:${candidate.options.port}` === address);
    if (!node) throw new UnavailableError(`no node of the Redis Cluster has the slot of ${key}`);
    return node;
  }

  #isKnown(node: Redis): boolean {
    return this.#identities.has(node) && this.#loaded.get(node) === this.#scripts.size;
  }

  /**
   * Loads the scripts of nodes that are not known, and reads their run id and replication id, which are forgotten when the connection ends:
   * the next one may lead to a store that lost its last second, or everything.
   */
  async #identify(nodes: Redis[]): Promise<void> {
    await Promise.all(
      nodes.map((node) => {
        // Once for all who ask meanwhile, as they do when a connection is back.
        const asked =
          this.#identifying.get(node) ?? this.#identifyNode(node).finally(() => this.#identifying.delete(node));
        this.#identifying.set(node, asked);
        return asked;
      }),
    );
  }

  async #identifyNode(node: Redis): Promise<void> {
    if (this.#isKnown(node)) return;
    const count = this.#scripts.size;
    const loads = [...this.#scripts.values()].map(({ lua }) => node.script('LOAD', lua));
    const [info] = await Promise.all([node.info(), ...loads]).catch((error: unknown) => {
      throw new UnavailableError(`Redis, INFO or SCRIPT LOAD: ${messageOf(error)}`, { cause: error });
    });
    const field = (name: string) => new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1]?.slice(0, 12) ?? 'unknown';
    const firstOfConnection = !this.#identities.has(node);
    this.#identities.set(node, `${field('run_id')}.${field('master_replid')}`);
    if (field('connected_slaves') !== '0') this.#hasReplica.add(node);
    else this.#hasReplica.delete(node);
    this.#loaded.set(node, count);
    if (!firstOfConnection) return;
    node.once('close', () => {
      this.#identities.delete(node);
      this.#loaded.delete(node);
    });
  }
}
