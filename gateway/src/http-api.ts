import type { TemplatedApp } from 'uws-current';
import type { Authenticate } from './auth.ts';
import { type Answer, type Call, jsonRoute } from './http.ts';
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

type Api = StateApi & InboxApi;
type Route = {
  method: 'get' | 'post' | 'put' | 'del';
  /** As in OpenAPI: {name} is a parameter. */
  path: string;
  body: boolean;
  handle: (call: Call, api: Api) => Promise<Answer>;
};

/** The HTTP API of PROTOCOL.md, a line a call. Fixed paths come before those with a parameter. */
export const ROUTES: readonly Route[] = [
  { method: 'post', path: '/v1/messages', body: true, handle: postMessage },
  { method: 'get', path: '/v1/messages/sync', body: false, handle: getSync },
  { method: 'post', path: '/v1/messages/ack', body: true, handle: postAck },
  { method: 'get', path: '/v1/messages/{id}', body: false, handle: getMessageState },
  { method: 'get', path: '/v1/conversations', body: false, handle: getConversations },
  { method: 'post', path: '/v1/conversations', body: true, handle: postConversation },
  { method: 'get', path: '/v1/conversations/{conversation}', body: false, handle: getConversation },
  { method: 'post', path: '/v1/conversations/{conversation}/members', body: true, handle: postMembers },
  { method: 'get', path: '/v1/conversations/{conversation}/messages', body: false, handle: getMessages },
  { method: 'get', path: '/v1/conversations/{conversation}/receipts', body: false, handle: getReceipts },
  { method: 'put', path: '/v1/devices/{device}', body: true, handle: putDevice },
  { method: 'del', path: '/v1/devices/{device}', body: false, handle: removeDevice },
];

export function serveApi(app: TemplatedApp, authenticate: Authenticate, api: Api): void {
  for (const { method, path, body, handle } of ROUTES) {
    const parameters = path.match(/\{\w+\}/g)?.length ?? 0;
    const label = `${method.toUpperCase()} ${path}`;
    app[method](
      path.replace(/\{(\w+)\}/g, ':$1'),
      jsonRoute(label, authenticate, body, (call) => handle(call, api), parameters),
    );
  }
}
