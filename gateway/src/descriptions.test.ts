import asyncApiSchema from '@asyncapi/specs/schemas/3.0.0.json' with { type: 'json' };
import { clientFrameSchemas } from '@restante/shared/contract/client-frames';
import { CLOSE, ERROR_CODES } from '@restante/shared/contract/codes';
import { TOPICS } from '@restante/shared/contract/events';
import { CALLS } from '@restante/shared/contract/http-calls';
import { entryFrameSchemas, serverFrameSchemas } from '@restante/shared/contract/server-frames';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { asyncApi } from './asyncapi.ts';
import { openApi } from './openapi.ts';

type Json = Record<string, unknown>;
/** As it is served. */
const served = (made: Json): Json => JSON.parse(JSON.stringify(made)) as Json;

/** What the official JSON schema of AsyncAPI 3.0 has against a document. */
function asyncApiProblems(document: Json): string[] {
  // It brings the schema of draft 7 along, which Ajv would add once more.
  const ajv = new Ajv({
    meta: false,
    validateSchema: false,
    strict: false,
    allErrors: true,
    validateFormats: false,
    logger: false,
  });
  const validate = ajv.compile(asyncApiSchema);
  return validate(document)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`);
}

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 by its official schema, which finds what is wrong', async () => {
    const validator = new Validator();
    const document = served(openApi());
    expect(await validator.validate(document)).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    expect(await validator.validate({ ...document, paths: { 'no-slash': {} } })).toMatchObject({ valid: false });
  });

  it('has every call, with its parameters, its body and its codes', () => {
    const { paths } = served(openApi()) as { paths: Record<string, Record<string, Json>> };
    for (const [operationId, { method, path, status, codes }] of Object.entries(CALLS)) {
      const operation = paths[path]?.[method] as Json & {
        responses: Record<string, Json>;
        parameters?: { name: string }[];
      };
      expect(operation).toMatchObject({ operationId });
      const named = operation.parameters?.map(({ name }) => `{${name}}`) ?? [];
      expect(named).toEqual(expect.arrayContaining(path.match(/\{\w+\}/g) ?? []));
      for (const expected of [status, 401, 500, ...codes.map((code) => ERROR_CODES[code].status)])
        expect(operation.responses).toHaveProperty(String(expected));
    }
    expect(JSON.stringify(paths['/v1/messages']?.post)).toContain('"pattern":"^[A-Za-z0-9_.@-]{1,128}$"');
  });
});

describe('/asyncapi.json', () => {
  const document = served(asyncApi());
  const { socket, ...topics } = document.channels as Record<string, Json & { messages: Json; address: string }>;

  it('is AsyncAPI 3.0 by its official schema, which finds what is wrong', () => {
    expect(asyncApiProblems(document)).toEqual([]);
    expect(asyncApiProblems({ ...document, channels: { socket: { messages: 7 } } })).not.toEqual([]);
  });

  it('has every frame, close code, error code and topic', () => {
    const frames = [
      ...Object.keys(clientFrameSchemas).map((type) => `client.${type}`),
      ...Object.keys({ ...entryFrameSchemas, ...serverFrameSchemas }).map((type) => `server.${type}`),
    ];
    expect(Object.keys(socket!.messages).sort()).toEqual(frames.sort());
    const closes = Object.values(CLOSE).map(({ code }) => String(code));
    expect(Object.keys(socket!['x-close-codes'] as Json).sort()).toEqual(closes.sort());
    expect(socket!['x-error-codes']).toEqual(ERROR_CODES);
    expect(Object.values(topics).map(({ address }) => address)).toEqual(Object.values(TOPICS));
  });

  it('names nothing that is not there', () => {
    const at = (path: string) =>
      path
        .split('/')
        .slice(1)
        .reduce<unknown>((value, key) => (value as Json)?.[key], document);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"(#[^"]+)"/g)].map(([, reference]) => reference!);
    expect(references.length).toBeGreaterThan(20);
    for (const reference of references) expect(at(reference), reference).toBeDefined();
  });
});
