import { createServer } from 'node:net';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { expect, test } from 'vitest';
import { awsClientOptions } from './aws.ts';

const HALF =
  'HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 100\r\n\r\n{"TableNames":[';

test.concurrent.each([
  ['is lost', ''],
  ['is lost behind its headers', HALF],
])('a request whose answer %s fails: what waits for it goes on', async (_, answer) => {
  const server = createServer((socket) => socket.once('data', () => void socket.write(answer)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new DynamoDBClient({ ...awsClientOptions({ endpoint, region: 'local' }), maxAttempts: 1 });
  try {
    await expect(client.send(new ListTablesCommand({}))).rejects.toMatchObject({ name: 'TimeoutError' });
  } finally {
    client.destroy();
    server.close();
  }
});
