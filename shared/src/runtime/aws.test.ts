import { createServer } from 'node:net';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { expect, test } from 'vitest';
import { awsClientOptions } from './aws.ts';

test('a request whose answer is lost fails: what waits for it goes on', async () => {
  const server = createServer((socket) => socket.resume());
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
