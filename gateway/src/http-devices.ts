import { deleteDevice, ensureDevice, setPush } from '@restante/shared/inbox/devices-dynamo';
import { parseForgotten } from '@restante/shared/inbox/inbox-redis';
import type { Call } from './http.ts';
import { type InboxApi, requireDevice } from './http-inbox.ts';

/** `PUT /v1/devices/{device}`: where its pushes go. */
export async function putDevice(
  { identity, params, body }: Call<'putDevice'>,
  { dynamo, log }: InboxApi,
): Promise<undefined> {
  const { device } = params;
  requireDevice(device, identity);
  await ensureDevice(dynamo, identity.user, device, Date.now(), log.ends);
  await setPush(dynamo, identity.user, device, body.push);
}

/** `DELETE /v1/devices/{device}`: forgets its cursor and its push endpoint; its socket closes. */
export async function removeDevice(
  { identity, params }: Call<'removeDevice'>,
  { dynamo, inbox, log }: InboxApi,
): Promise<undefined> {
  const { device } = params;
  requireDevice(device, identity);
  const { user } = identity;
  // The row first: a rebuild that comes between would bring the device back.
  await deleteDevice(dynamo, user, device);
  const [reply] = await inbox.run([inbox.forgetDeviceCall(user, device)]);
  await log.event({ t: 'device_forgotten', user, device, sessions: parseForgotten(reply!) });
}
