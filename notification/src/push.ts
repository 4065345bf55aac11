import type { DeviceRow } from '@restante/shared/inbox/devices-dynamo';

/** One wake-up of one device. No body and no sender's text, unless a setting says so: the device wakes up and asks. */
export type Push = {
  user: string;
  device: string;
  registration: DeviceRow['push'];
  silent: boolean;
  collapseKey: string;
  pending: number;
  urgent: boolean;
};

/**
 * What became of a push. `dropped`: the provider says that the token is dead, and it is forgotten. `failed`: to be tried again. `no token`: the
 * app has registered none.
 */
export type PushOutcome = 'sent' | 'no token' | 'dropped' | 'failed';

/** Who sends pushes. Two there are: the console's, a line each, and SNS; one suite tests both. */
export type PushProvider = {
  /** @returns an outcome for each push, in their order. Never throws: what can't be sent is `failed` */
  send(pushes: readonly Push[]): Promise<PushOutcome[]>;
};

export const COLLAPSE_KEY = 'restante-inbox';
/** How long a provider may keep a wake-up for a device that is off: what it is about stays in the inbox much longer. */
export const PUSH_TTL_SECONDS = 24 * 3600;
