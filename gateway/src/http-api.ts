import { type AnswerOf, CALLS, type CallName, type CallSpec } from '@restante/shared/contract/http-calls';
import type { TemplatedApp } from 'uws-current';
import { asyncApi } from './asyncapi.ts';
import { type Call, type Door, jsonRoute } from './http.ts';
import { type AttachmentsApi, postAttachment } from './http-attachments.ts';
import {
  getConversation,
  getConversations,
  getMessages,
  getReceipts,
  postConversation,
  postMembers,
} from './http-conversations.ts';
import { putDevice, removeDevice } from './http-devices.ts';
import { getSync, type InboxApi, postAck, postMessage } from './http-inbox.ts';
import { getMessageState, type StateApi } from './http-message-state.ts';
import { openApi } from './openapi.ts';

type Api = StateApi & InboxApi & AttachmentsApi;

/** Who serves each call of `CALLS`. */
const HANDLERS: { [N in CallName]: (call: Call<N>, api: Api) => Promise<AnswerOf<N>> } = {
  postMessage,
  getSync,
  postAck,
  getMessageState,
  getConversations,
  postConversation,
  getConversation,
  postMembers,
  getMessages,
  getReceipts,
  postAttachment,
  putDevice,
  removeDevice,
};

export function serveApi(app: TemplatedApp, door: Door, api: Api): void {
  for (const [name, spec] of Object.entries<CallSpec>(CALLS)) {
    // Each gets what its own schemas have let through.
    const handle = HANDLERS[name as CallName] as (call: unknown, api: Api) => Promise<unknown>;
    app[spec.method === 'delete' ? 'del' : spec.method](
      spec.path.replace(/\{(\w+)\}/g, ':$1'),
      jsonRoute(spec, door, (call) => handle(call, api)),
    );
  }
  serveText(app, '/openapi.json', JSON.stringify(openApi()));
  serveText(app, '/asyncapi.json', JSON.stringify(asyncApi()));
}

/** The descriptions are for anyone, a page of another origin that shows them included. */
function serveText(app: TemplatedApp, path: string, text: string): void {
  app.get(path, (response) => {
    response.writeHeader('content-type', 'application/json');
    response.writeHeader('access-control-allow-origin', '*');
    response.end(text);
  });
}
