import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { directConversation, MESSAGE_ID_PATTERN, USER_PATTERN } from '@restante/shared/contract/ids';
import type { OperatorAction } from '@restante/shared/contract/operator-actions';
import type { Kafka } from '@restante/shared/dead-letters/read-letters';
import { dueDepth } from '@restante/shared/inbox/due-depth-redis';
import { readTrace, TraceError } from '@restante/shared/inbox/read-trace';
import type { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { Audit } from './audit.ts';
import { answerJson, Gatekeeper, OperatorProblem, readJson, servePage } from './http.ts';
import { Letters } from './letters.ts';
import { describeUser, listInbox, type OperatorStores, searchUsers } from './users.ts';

const MAX_LISTED = 500;
const DEFAULT_LISTED = 100;
const MAX_NOTICE_LENGTH = 4_000;

export type OperatorOptions = OperatorStores & {
  kafka: Kafka;
  receipts: ReceiptStore;
  partitionFor: (conversation: string) => number;
  producer: BatchingProducer;
  incoming: string;
  token: string | undefined;
  showsBodies: boolean;
  operatorUser: string;
  logger: Logger;
};

type Call = { by: string; params: string[]; query: URLSearchParams; body: Record<string, unknown> };
type Handler = (call: Call) => Promise<unknown>;

/** The operator's page and its API, on the admin port. Whatever it changes is on record first. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #gate: Gatekeeper | undefined;
  readonly #audit: Audit;
  readonly #letters: Letters;
  readonly #routes: readonly (readonly [method: string, path: RegExp, handle: Handler])[];

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#gate = options.token === undefined ? undefined : new Gatekeeper(options.token);
    this.#audit = new Audit(options.kafka, options.producer, options.logger);
    this.#letters = new Letters(options.kafka, this.#audit, options.logger);
    const user = '([^/]+)';
    this.#routes = [
      ['GET', /^system$/, () => this.#system()],
      ['GET', /^users$/, ({ query }) => searchUsers(userOf(query.get('search') ?? ''), options)],
      ['GET', new RegExp(`^users/${user}$`), ({ params }) => describeUser(userOf(params[0]), options)],
      ['GET', new RegExp(`^users/${user}/inbox$`), (call) => this.#inbox(call)],
      ['POST', new RegExp(`^users/${user}/(disconnect|revoke|restore)$`), (call) => this.#onUser(call)],
      ['POST', /^slots\/(\d+)\/(drain|resume)$/, (call) => this.#onSlot(call)],
      ['GET', /^trace$/, ({ query }) => this.#trace(query)],
      ['POST', /^notice$/, (call) => this.#notice(call)],
      ['GET', /^dead-letters$/, ({ query }) => this.#listLetters(query)],
      ['GET', /^dead-letters\/(\d+)$/, (call) => this.#showLetter(call)],
      ['POST', /^dead-letters\/(\d+)\/(redrive|discard)$/, (call) => this.#onLetter(call)],
      ['GET', /^audit$/, async ({ query }) => ({ actions: await this.#audit.last(limitOf(query)) })],
    ];
  }

  /** @returns whether the request was for it */
  readonly serve = (request: IncomingMessage, response: ServerResponse): boolean => {
    const url = new URL(request.url ?? '/', 'http://operator');
    if (url.pathname !== '/operator' && !url.pathname.startsWith('/operator/')) return false;
    this.#serve(request, response, url).catch((error: unknown) => {
      const status = error instanceof OperatorProblem ? error.status : 500;
      if (status === 500) this.#options.logger.error({ err: messageOf(error) }, 'operator: a call failed');
      const detail = status === 500 ? 'the call failed: the log of this process says why' : messageOf(error);
      if (!response.headersSent) answerJson(response, status, { status, detail });
    });
    return true;
  };

  async #serve(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (!this.#gate) throw new OperatorProblem(404, 'there is no operator page: set ADMIN_TOKEN');
    if (request.method === 'GET' && servePage(url.pathname, response)) return;
    const path = /^\/operator\/api\/(.+)$/.exec(url.pathname)?.[1];
    if (path === undefined) throw new OperatorProblem(404, 'no such path');
    this.#gate.check(request, Date.now());
    const found = this.#routes.find(([method, pattern]) => method === request.method && pattern.test(path));
    if (!found) throw new OperatorProblem(404, 'no such call');
    const [method, pattern, handle] = found;
    const body = method === 'POST' ? await readJson(request) : {};
    const params = pattern.exec(path)!.slice(1).map(decoded);
    const by = `${nameOf(request)}@${request.socket.remoteAddress ?? '?'}`;
    answerJson(response, 200, await handle({ by, params, query: url.searchParams, body }));
  }

  async #system() {
    const { inbox, leases, showsBodies } = this.#options;
    return { slots: leases.held(), due: await dueDepth(inbox.store, Date.now()), showsBodies };
  }

  async #inbox({ by, params, query }: Call) {
    const user = userOf(params[0]);
    const wanted = this.#wantsBodies(query);
    if (wanted) await this.#audit.record({ t: 'read_bodies', by, at: Date.now(), user });
    return { entries: await listInbox(user, limitOf(query), wanted, this.#options) };
  }

  /** The life of a message, for each recipient. */
  async #trace(query: URLSearchParams) {
    const { inbox, dynamo, receipts, partitionFor } = this.#options;
    const [id = '', from] = [query.get('id') ?? '', query.get('from') || undefined];
    if (!MESSAGE_ID_PATTERN.test(id)) throw new OperatorProblem(400, 'id: must match [A-Za-z0-9_-]{8,64}');
    const stores = { inbox, dynamo, receipts, partitionFor, redis: inbox.store };
    try {
      return await readTrace(id, from === undefined ? undefined : userOf(from), stores);
    } catch (error) {
      if (error instanceof TraceError) throw new OperatorProblem(404, `${error.message}: ${error.remedy}`);
      throw error;
    }
  }

  async #onUser({ by, params: [name, order] }: Call) {
    const t = order as 'disconnect' | 'revoke' | 'restore';
    return this.#record({ t, by, at: Date.now(), user: userOf(name) });
  }

  async #onSlot({ by, params: [number, order] }: Call) {
    const slot = this.#options.leases.held().find((held) => held.slot === Number(number));
    if (!slot) throw new OperatorProblem(404, `no gateway holds slot ${number}`);
    return this.#record({ t: order as 'drain' | 'resume', by, at: Date.now(), ...slot });
  }

  async #notice({ by, body }: Call) {
    const { text } = body;
    if (typeof text !== 'string' || text === '' || text.length > MAX_NOTICE_LENGTH)
      throw new OperatorProblem(400, `text: must be 1 to ${MAX_NOTICE_LENGTH} characters`);
    const user = body.user === undefined ? undefined : userOf(body.user);
    const id = `notice-${randomBytes(9).toString('base64url')}`;
    const at = Date.now();
    await this.#audit.record({ t: 'notice', by, at, id, text, ...(user === undefined ? {} : { user }) });
    if (user !== undefined) await this.#sendNotice(id, text, user, at);
    return { done: true, at, id };
  }

  /** To one user, here or not: as any message. */
  async #sendNotice(id: string, text: string, user: string, at: number): Promise<void> {
    const { producer, incoming, operatorUser } = this.#options;
    const conversation = directConversation(operatorUser, user);
    const command = { t: 'send', from: operatorUser, id, conversation, body: text, kind: 'notice', at };
    const partition = producer.partitionFor(incoming, conversation);
    await producer.send(incoming, partition, conversation, JSON.stringify(command));
  }

  #listLetters(query: URLSearchParams) {
    const all = query.get('all') === 'true';
    const from = wholeOf(query, 'from');
    return this.#letters.list({ all, from, sinceMs: wholeOf(query, 'since') ?? 0, most: limitOf(query) });
  }

  #showLetter({ by, params: [number], query }: Call) {
    return this.#letters.show(Number(number), by, this.#wantsBodies(query));
  }

  async #onLetter({ by, params: [number, order] }: Call) {
    const { at } = await this.#letters.close(Number(number), by, order as 'redrive' | 'discard');
    return { done: true, at };
  }

  /** @throws OperatorProblem 403 where nobody may have them */
  #wantsBodies(query: URLSearchParams): boolean {
    const wanted = query.get('bodies') === 'true';
    if (wanted && !this.#options.showsBodies)
      throw new OperatorProblem(403, 'bodies are not shown: OPERATOR_SHOWS_BODIES is false');
    return wanted;
  }

  async #record(action: OperatorAction) {
    await this.#audit.record(action);
    return { done: true, at: action.at };
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new OperatorProblem(400, 'the path is not UTF-8');
  }
}

function userOf(text: unknown): string {
  if (typeof text === 'string' && USER_PATTERN.test(text)) return text;
  throw new OperatorProblem(400, 'user: must match [A-Za-z0-9_.@-]{1,128}');
}

function limitOf(query: URLSearchParams): number {
  const limit = Number(query.get('limit') ?? DEFAULT_LISTED);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED)
    throw new OperatorProblem(400, `limit: must be an integer from 1 to ${MAX_LISTED}`);
  return limit;
}

/** @throws OperatorProblem 400 where it is given and no number */
function wholeOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new OperatorProblem(400, `${name}: must be a whole number of at most 15 digits`);
  return Number(text);
}

/** Who says to be at the keyboard: the token is one for all, so this is for the record, not proof. */
function nameOf({ headers }: IncomingMessage): string {
  const name = headers['x-operator'];
  return typeof name === 'string' && /^[\w.@-]{1,64}$/.test(name) ? name : 'operator';
}
