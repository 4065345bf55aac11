export type HttpReply = { status: number; headers: Headers; json: Record<string, unknown>; text: string };

export type CallOptions = {
  method?: string;
  token?: string;
  /** Sent as JSON, unless it is a string or bytes: those go as they are. */
  body?: unknown;
  headers?: Record<string, string>;
  timeoutMs?: number;
};

/** One HTTP call to a gateway. Throws where no answer came: what became of it is unknown then. */
export async function call(
  url: string,
  path: string,
  { method, token, body, headers, timeoutMs = 20_000 }: CallOptions = {},
): Promise<HttpReply> {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { body: raw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: parse(text), text };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
