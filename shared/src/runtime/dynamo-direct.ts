import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/**
 * What is asked with each message. Their inputs and outputs hold neither bytes nor times nor tokens that the SDK would make: what a caller
 * gives is, as JSON, what DynamoDB takes, and what it answers is what a caller gets.
 */
const DIRECT = new Set(['BatchWriteItemCommand', 'BatchExecuteStatementCommand']);
/** Of the SDK's own request, the headers that are the same for each. Those of the body, the time and the attempt are not. */
const SAME_HEADERS = ['content-type', 'host', 'user-agent', 'x-amz-target', 'x-amz-user-agent'] as const;

type Head = {
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query: Record<string, never>;
  headers: Record<string, string>;
};
type Config = DynamoDBClient['config'];

/**
 * Takes a short way for what is asked most: the SDK walks each value of a request by its schema, and each request through some twenty
 * middlewares, which is five times the cost of signing and sending it. Its signer, credentials, sockets and timeouts stay.
 *
 * The first request of a kind goes the SDK's way and shows where to, and so does each one that the short way did not bring through, whatever
 * the reason: the SDK retries, corrects its clock and tells errors apart. All of DIRECT may be asked again: puts, and positions that only move forward.
 */
export function takeDirectWay(client: DynamoDBClient): void {
  const { config, middlewareStack } = client;
  const heads = new Map<string, Head>();
  let signer: ReturnType<Config['signer']> | undefined;

  async function ask(head: Head, input: unknown): Promise<object | undefined> {
    const body = Buffer.from(JSON.stringify(input));
    const request = {
      ...head,
      method: 'POST',
      headers: { ...head.headers, 'content-length': String(body.length) },
      body,
    };
    signer ??= signerOf(config);
    const signed = await (await signer).sign(request, { signingDate: new Date(Date.now() + config.systemClockOffset) });
    const { response } = await config.requestHandler.handle(signed);
    const text = config.utf8Encoder(await config.streamCollector(response.body));

    if (response.statusCode !== 200) return undefined;
    return { ...JSON.parse(text), $metadata: { httpStatusCode: response.statusCode } };
  }

  middlewareStack.add(
    (next, context) => async (args) => {
      const head = heads.get(context.commandName ?? '');
      if (!head) return next(args);
      const output = await ask(head, args.input).catch(() => undefined);
      return output ? { output: output as never, response: undefined } : next(args);
    },
    { step: 'initialize', priority: 'high', name: 'directWay' },
  );
  middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        const result = await next(args);
        if (DIRECT.has(commandName)) heads.set(commandName, headOf(args.request as Head));
        return result;
      },
    { step: 'finalizeRequest', name: 'directWayShown' },
  );
}

async function signerOf(config: Config) {
  const signingRegion = await config.region();
  return config.signer({ name: 'sigv4', signingName: 'dynamodb', signingRegion, properties: {} });
}

function headOf({ protocol, hostname, port, path, headers }: Head): Head {
  const same = SAME_HEADERS.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]!]);
  return {
    protocol,
    hostname,
    ...(port === undefined ? {} : { port }),
    path,
    query: {},
    headers: Object.fromEntries(same),
  };
}
