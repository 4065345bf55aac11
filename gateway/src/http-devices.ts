import { deleteDevice, setPush } from '@restante/shared/inbox/devices-dynamo';
import { parseForgotten, parseSync } from '@restante/shared/inbox/inbox-redis';
import { type Call, Problem } from './http.ts';
import { type InboxApi, requireDevice, TOO_MANY_DEVICES } from './http-inbox.ts';
import { makeDurable } from './new-device.ts';

/** `PUT /v1/devices/{device}`: where its pushes go. */
export async function putDevice(
  { identity, params, body }: Call<'putDevice'>,
  { dynamo, inbox, log }: InboxApi,
): Promise<undefined> {
  const { device } = params;
  const { user } = identity;
  requireDevice(device, identity);
  // A sync of nothing: the inbox makes the device, where it is whole, and says where it starts.
  const made = parseSync((await inbox.run([inbox.syncCall(user, device, '', 0)]))[0]!);
  if (made.is === 'too-many') throw new Problem('rate_limited', TOO_MANY_DEVICES);
  if (made.is === 'new') await makeDurable(user, device, made, dynamo, log.ends);
  await setPush(dynamo, user, device, body.push);
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
