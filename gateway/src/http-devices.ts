import { describeIssues } from '@restante/shared/contract/client-frames';
import { deleteDevice, ensureDevice, setPush } from '@restante/shared/inbox/devices-dynamo';
import { parseForgotten } from '@restante/shared/inbox/inbox-redis';
import { z } from 'zod';
import { type Answer, type Call, Problem } from './http.ts';
import { checkDevice, type InboxApi } from './http-inbox.ts';

const putSchema = z.object({
  push: z.object({ platform: z.enum(['apns', 'fcm']), token: z.string().min(1).max(4096) }),
});

/** `PUT /v1/devices/{device}`: where its pushes go. */
export async function putDevice({ identity, params, body }: Call, { dynamo }: InboxApi): Promise<Answer> {
  const device = checkDevice(params[0] ?? null, identity);
  const parsed = putSchema.safeParse(body);
  if (!parsed.success) throw new Problem('bad_field', describeIssues(parsed.error));
  await ensureDevice(dynamo, identity.user, device, Date.now());
  await setPush(dynamo, identity.user, device, parsed.data.push);
  return { status: 204 };
}

/** `DELETE /v1/devices/{device}`: forgets its cursor and its push endpoint; its socket closes. */
export async function removeDevice({ identity, params }: Call, { dynamo, inbox, log }: InboxApi): Promise<Answer> {
  const device = checkDevice(params[0] ?? null, identity);
  const { user } = identity;
  // The row first: a rebuild that comes between would bring the device back.
  await deleteDevice(dynamo, user, device);
  const [reply] = await inbox.run([inbox.forgetDeviceCall(user, device)]);
  await log.event({ t: 'device_forgotten', user, device, sessions: parseForgotten(reply!) });
  return { status: 204 };
}
