import { type DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb';

export type HistoryRow = { conversation: string; position: number; id: string; from: string; entry: string };

/** The whole history: DynamoDB `messages`, as it stands. */
export async function readHistory(client: DynamoDBClient): Promise<HistoryRow[]> {
  const rows: HistoryRow[] = [];
  for await (const { Items } of paginateScan({ client }, { TableName: 'messages', ConsistentRead: true })) {
    for (const item of Items ?? []) {
      rows.push({
        conversation: item.conversation?.S ?? '',
        position: Number(item.position?.N),
        id: item.id?.S ?? '',
        from: item.from?.S ?? '',
        entry: item.entry?.S ?? '',
      });
    }
  }
  return rows.sort((a, b) => a.position - b.position);
}
