import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { deleteDevice, ensureDevice, type LogEnds } from '@restante/shared/inbox/devices-dynamo';
import type { DeviceStart, NewDevice } from '@restante/shared/inbox/inbox-redis';

/**
 * A device that its inbox has made, or can't make now, becomes durable, before its first welcome: a rebuild must know where it starts
 * (decision 11). Of one that connects while its inbox is partial the rebuild makes the row.
 * @returns where its row says that it starts, for the inbox to compare
 */
export async function makeDurable(
  user: string,
  device: string,
  { start, yieldedDevice }: NewDevice,
  dynamo: DynamoDBClient,
  logEnds: LogEnds,
): Promise<DeviceStart> {
  const row = await ensureDevice(dynamo, user, device, Date.now(), start, logEnds);
  if (yieldedDevice !== undefined) await deleteDevice(dynamo, user, yieldedDevice);
  return row;
}
