import { ERROR_CODES, type ErrorCode } from '@restante/shared/contract/codes';
import { CALLS, type CallSpec } from '@restante/shared/contract/http-calls';
import { errorCodeSchema } from '@restante/shared/contract/server-frames';
import { z } from 'zod';

type Json = Record<string, unknown>;

/** RFC 9457, as every refusal is answered. */
const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: errorCodeSchema,
  detail: z.string(),
});
/** What any call with a token may be answered with. */
const ANY_CALL: readonly ErrorCode[] = ['bad_field', 'unauthorized', 'rate_limited', 'overloaded', 'internal'];
const WITH_BODY: readonly ErrorCode[] = ['bad_frame', 'too_large'];
const RETRY_AFTER = {
  'Retry-After': { description: 'seconds', required: true, schema: { type: 'integer', minimum: 1 } },
};

/** The description of the HTTP API, made of the schemas by which requests are read. */
export function openApi(): Json {
  const paths: Record<string, Json> = {};
  for (const [operationId, spec] of Object.entries<CallSpec>(CALLS)) {
    paths[spec.path] ??= {};
    paths[spec.path]![spec.method] = operation(operationId, spec);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Restante: HTTP',
      version: '1',
      description: 'The calls beside the WebSocket, which /asyncapi.json describes. Unknown fields are ignored.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths: { ...paths, ...open() },
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Claims: sub, exp, aud; where there is dev, it must equal the device.',
        },
      },
      schemas: { Problem: jsonSchema(problem) },
    },
  };
}

function operation(operationId: string, { summary, params, query, body, status, answer, codes }: CallSpec): Json {
  const parameters = [...parametersOf('path', params), ...parametersOf('query', query)];
  const refusals = [...ANY_CALL, ...(body ? WITH_BODY : []), ...codes];
  return {
    operationId,
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: true, content: json(jsonSchema(body)) } } : {}),
    responses: {
      [status]: { description: 'done', ...(answer ? { content: json(jsonSchema(answer)) } : {}) },
      ...responsesOf(refusals),
    },
  };
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject | undefined): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = jsonSchema(schema) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: property,
  }));
}

/** The codes of one status share its answer. */
function responsesOf(codes: readonly ErrorCode[]): Record<string, Json> {
  const statuses = new Set(codes.map((code) => ERROR_CODES[code].status));
  return Object.fromEntries(
    Array.from(statuses, (status) => [
      status,
      {
        description: codes.filter((code) => ERROR_CODES[code].status === status).join(', '),
        ...(status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

/** What needs no token. */
function open(): Record<string, Json> {
  const readiness = {
    type: 'object',
    properties: { ready: { type: 'boolean' }, reasons: { type: 'array', items: { type: 'string' } } },
  };
  const get = (summary: string, responses: Json) => ({ get: { summary, security: [], responses } });
  const text = (description: string, schema: Json) => ({ 200: { description, content: json(schema) } });
  return {
    '/healthz': get('The process runs', text('it does', { type: 'object' })),
    '/readyz': get('It takes work', {
      ...text('it does', readiness),
      503: { description: 'it does not, and why', content: json(readiness) },
    }),
    '/openapi.json': get('This description', text('OpenAPI 3.1', { type: 'object' })),
    '/asyncapi.json': get('The description of the socket and the topics', text('AsyncAPI 3.0', { type: 'object' })),
  };
}

const json = (schema: Json): Json => ({ 'application/json': { schema } });

function jsonSchema(schema: z.ZodType): Json {
  const { $schema: _, ...made } = z.toJSONSchema(schema, { io: 'input', reused: 'inline' });
  return made;
}
