import type { Environment } from './environment.ts';
import { type ClientErrorCode, RestanteError } from './errors.ts';
import type { HistoryItem, InboxEntry } from './protocol.ts';
import type { TokenCache } from './token.ts';

export type SyncPage = { gen: number; acked: number; tail: number; entries: InboxEntry[]; more: boolean };
export type ConversationSummary = {
  id: string;
  title?: string;
  lastPosition: number;
  read: number;
  unread: number;
  updatedAt: number;
};
export type Group = { id: string; title?: string; members: { user: string; role: string; joinedPosition: number }[] };
export type MessageStatus = {
  id: string;
  conversation: string;
  position?: number;
  state: string;
  recipients: { user: string; state: string; at?: number; reason?: string }[];
};
type Push = { platform: 'apns' | 'fcm'; token: string };

export type HttpOptions = { environment: Environment; urls: readonly string[]; token: TokenCache; timeoutMs: number };

/** The HTTP calls of PROTOCOL.md. Each asks the gateways in turn until one answers; each throws RestanteError. */
export class Http {
  readonly #options: HttpOptions;
  #gateway = 0;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  sync(device: string, limit: number): Promise<SyncPage> {
    return this.#call('GET', `/v1/messages/sync?device=${encodeURIComponent(device)}&limit=${limit}`);
  }

  ack(device: string, gen: number, seq: number): Promise<{ gen: number; acked: number }> {
    return this.#call('POST', '/v1/messages/ack', { device, gen, seq });
  }

  status(id: string, from: string): Promise<MessageStatus> {
    return this.#call('GET', `/v1/messages/${encodeURIComponent(id)}?from=${encodeURIComponent(from)}`);
  }

  conversations(limit: number, after?: string): Promise<{ conversations: ConversationSummary[]; next?: string }> {
    return this.#call(
      'GET',
      `/v1/conversations?limit=${limit}${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`,
    );
  }

  createGroup(group: { id?: string; members: string[]; title?: string }): Promise<Group> {
    return this.#call('POST', '/v1/conversations', group);
  }

  conversation(id: string): Promise<Group> {
    return this.#call('GET', `/v1/conversations/${encodeURIComponent(id)}`);
  }

  async changeMembers(id: string, change: { add?: string[]; remove?: string[] }): Promise<void> {
    await this.#call('POST', `/v1/conversations/${encodeURIComponent(id)}/members`, change);
  }

  history(
    conversation: string,
    page: { before?: number; after?: number; limit: number },
  ): Promise<{ messages: HistoryItem[]; more: boolean }> {
    const bounds = (['before', 'after'] as const)
      .map((name) => (page[name] === undefined ? '' : `&${name}=${page[name]}`))
      .join('');
    return this.#call(
      'GET',
      `/v1/conversations/${encodeURIComponent(conversation)}/messages?limit=${page.limit}${bounds}`,
    );
  }

  receipts(conversation: string): Promise<{ receipts: { user: string; delivered: number; read: number }[] }> {
    return this.#call('GET', `/v1/conversations/${encodeURIComponent(conversation)}/receipts`);
  }

  async registerPush(device: string, push: Push): Promise<void> {
    await this.#call('PUT', `/v1/devices/${encodeURIComponent(device)}`, { push });
  }

  async forgetDevice(device: string): Promise<void> {
    await this.#call('DELETE', `/v1/devices/${encodeURIComponent(device)}`);
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { urls } = this.#options;
    let failure: RestanteError | undefined;
    let freshToken = false;
    // One more than there are gateways: a refused token costs a try.
    for (let left = urls.length + 1; left > 0; left--) {
      try {
        return await this.#once<T>(method, path, body, freshToken);
      } catch (error) {
        if (!(error instanceof RestanteError)) throw error;
        failure = error;
        if (error.code === 'unauthorized' && !freshToken) freshToken = true;
        else if (error.code === 'network' || error.code === 'internal') this.#gateway++;
        else throw error;
      }
    }
    throw failure;
  }

  async #once<T>(method: string, path: string, body: unknown, freshToken: boolean): Promise<T> {
    const { environment, urls, token, timeoutMs } = this.#options;
    const bearer = await token.get(freshToken);
    const abort = new AbortController();
    const cancel = environment.clock.after(timeoutMs, () => abort.abort());
    try {
      const base = (urls[this.#gateway % urls.length] ?? '').replace(/^ws/, 'http').replace(/\/$/, '');
      const response = await environment.fetch(base + path, {
        method,
        headers: {
          authorization: `Bearer ${bearer}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: abort.signal,
      });
      const text = await response.text();
      if (!response.ok) throw problem(response, text);
      return (text === '' ? undefined : JSON.parse(text)) as T;
    } catch (cause) {
      if (cause instanceof RestanteError) throw cause;
      throw new RestanteError('network', `${method} ${path}: no gateway answered`, { canRetry: true, cause });
    } finally {
      cancel();
    }
  }
}

/** An answer that says no, as an error with its code (RFC 9457). */
function problem(response: Response, text: string): RestanteError {
  let code: ClientErrorCode =
    response.status === 401 ? 'unauthorized' : response.status >= 500 ? 'internal' : 'bad_field';
  let message = `HTTP ${response.status}`;
  try {
    const parsed = JSON.parse(text) as { code?: ClientErrorCode; detail?: string; title?: string };
    code = parsed.code ?? code;
    message = parsed.detail ?? parsed.title ?? message;
  } catch {
    // Not a problem document, such as a proxy's page: the status says enough.
  }
  const retryAfter = Number(response.headers.get('retry-after'));
  const canRetry = response.status === 429 || response.status >= 500;
  return new RestanteError(code, message, { canRetry, ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}) });
}
