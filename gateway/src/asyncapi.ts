import { clientFrameSchemas, MAX_FRAME_BYTES } from '@restante/shared/contract/client-frames';
import { CLOSE, ERROR_CODES } from '@restante/shared/contract/codes';
import {
  deadLetter,
  incomingCommand,
  outgoingOp,
  receiptEvent,
  TOPICS,
  userEvent,
} from '@restante/shared/contract/events';
import { deviceSchema } from '@restante/shared/contract/ids';
import { entryFrameSchemas, serverFrameSchemas } from '@restante/shared/contract/server-frames';
import { z } from 'zod';
import { SUBPROTOCOL } from './handshake.ts';

type Json = Record<string, unknown>;

/** What each frame means, as PROTOCOL.md says it in short. */
const FROM_CLIENT: Record<keyof typeof clientFrameSchemas, string> = {
  send: 'Sends once per (sender, id), however often it is repeated; answered by accepted and stored, or rejected',
  ack: 'This device has stored every entry up to seq',
  nack: 'This device can not process that entry: it goes to the dead letters',
  read: 'The user has read up to that position',
  typing: 'Ephemeral, never stored',
  delete: 'Deletes one’s own message for everyone; answered as send is',
  watch: 'Presence of those users, from now on; replaces the last watch',
  ping: 'Answered by pong',
};
const FROM_SERVER: Record<keyof typeof serverFrameSchemas | keyof typeof entryFrameSchemas, string> = {
  welcome: 'The first frame, always',
  accepted: 'The message is durable',
  stored: 'It is in the history and in the inboxes of its recipients',
  rejected: 'It is not, and never will be unless it is sent again',
  message: 'An inbox entry: a message',
  deleted: 'An inbox entry: a tombstone',
  members: 'An inbox entry: the membership changed',
  gap: 'Stands in the place of entries that will not come on the socket; acked as any',
  drained: 'The backlog is delivered, what follows is live',
  reset: 'The inbox was rebuilt as a new generation',
  receipt: 'How far a user has got, and has read; the latest wins',
  typing: 'Somebody types, or stopped',
  presence: 'Somebody of those watched came, or went',
  error: 'About the last frame of the client; the connection stays',
  bye: 'The server will close now',
  pong: 'The answer to ping',
};
/** What each topic carries, and its key. */
const TOPIC_CHANNELS: Record<keyof typeof TOPICS, { key: string; description: string; payload: z.ZodType }> = {
  incoming: { key: 'conversation', description: 'gateway → messaging', payload: incomingCommand },
  userEvents: { key: 'user', description: 'gateway → notification', payload: userEvent },
  outgoing: {
    key: 'none: the partition is the slot of the gateway',
    description: 'messaging, notification → the owning gateway. First line: these ops; then an inbox entry a line',
    payload: z.array(outgoingOp),
  },
  deadLetters: { key: 'source', description: 'all → operator', payload: deadLetter },
  receipts: {
    key: 'conversation',
    description: 'notification → webhooks, where they are on',
    payload: receiptEvent,
  },
};

/** The description of the socket and the topics, made of the schemas of their frames and events. */
export function asyncApi(): Json {
  const server = { ...entryFrameSchemas, ...serverFrameSchemas };
  const clientMessages = entries(clientFrameSchemas).map(([type, schema]) =>
    // The type is told apart before the rest is read, so that it is not in the schema.
    message(`client.${type}`, FROM_CLIENT[type], typed(type, jsonSchema(schema))),
  );
  const serverMessages = entries(server).map(([type, schema]) =>
    message(`server.${type}`, FROM_SERVER[type], jsonSchema(schema)),
  );
  const topics = entries(TOPIC_CHANNELS);
  const topicMessages = topics.map(([name, { description, payload }]) =>
    message(`topic.${name}`, description, jsonSchema(payload)),
  );
  const all = [...clientMessages, ...serverMessages, ...topicMessages];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Restante: the socket and the topics',
      version: '1',
      description:
        'Every frame is one JSON text message, an object whose t names its type. Unknown fields are ignored; unknown types get error. The calls by HTTP are in /openapi.json.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      gateway: { host: '127.0.0.1:8080', protocol: 'ws', security: [{ $ref: '#/components/securitySchemes/token' }] },
      log: { host: '127.0.0.1:9092', protocol: 'kafka' },
    },
    channels: {
      socket: {
        address: '/v1/connect',
        description: `Subprotocol ${SUBPROTOCOL}. Frames have at most ${MAX_FRAME_BYTES} bytes.`,
        servers: [{ $ref: '#/servers/gateway' }],
        messages: refs(clientMessages, serverMessages),
        bindings: {
          ws: {
            method: 'GET',
            query: { type: 'object', required: ['device'], properties: { device: jsonSchema(deviceSchema) } },
          },
        },
        'x-close-codes': Object.fromEntries(
          entries(CLOSE).map(([name, { code, reconnect }]) => [code, { name, reconnect }]),
        ),
        'x-error-codes': ERROR_CODES,
      },
      ...Object.fromEntries(
        topics.map(([name, { key, description }], i) => [
          name,
          {
            address: TOPICS[name],
            description: `${description}. Key: ${key}.`,
            servers: [{ $ref: '#/servers/log' }],
            messages: refs([topicMessages[i]!]),
          },
        ]),
      ),
    },
    operations: {
      fromClients: {
        action: 'receive',
        channel: { $ref: '#/channels/socket' },
        messages: clientMessages.map(({ name }) => ({ $ref: `#/channels/socket/messages/${name}` })),
      },
      toClients: {
        action: 'send',
        channel: { $ref: '#/channels/socket' },
        messages: serverMessages.map(({ name }) => ({ $ref: `#/channels/socket/messages/${name}` })),
      },
      ...Object.fromEntries(
        topics.map(([name]) => [
          name,
          { action: name === 'outgoing' ? 'receive' : 'send', channel: { $ref: `#/channels/${name}` } },
        ]),
      ),
    },
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'From a browser, as a second offered subprotocol bearer.<jwt>. Never in the URL.',
        },
      },
      messages: Object.fromEntries(all.map((one) => [one.name, one])),
    },
  };
}

const message = (name: string, summary: string, payload: Json) => ({ name, summary, payload });

const refs = (...groups: { name: string }[][]): Json =>
  Object.fromEntries(groups.flat().map(({ name }) => [name, { $ref: `#/components/messages/${name}` }]));

function typed(type: string, schema: Json): Json {
  const { properties = {}, required = [] } = schema as { properties?: Json; required?: string[] };
  return { ...schema, properties: { t: { type: 'string', const: type }, ...properties }, required: ['t', ...required] };
}

/** AsyncAPI 3.0 takes schemas of draft 7. */
function jsonSchema(schema: z.ZodType): Json {
  const { $schema: _, ...made } = z.toJSONSchema(schema, { io: 'input', reused: 'inline', target: 'draft-7' });
  return made;
}

const entries = <T extends object>(record: T) => Object.entries(record) as { [K in keyof T]: [K, T[K]] }[keyof T][];
