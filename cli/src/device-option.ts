import { DEVICE_PATTERN } from '@restante/shared/contract/ids';
import { UsageError } from './command.ts';

/** The device that a command speaks for. @throws UsageError where the text is no device id */
export function deviceOption(device = 'cli'): string {
  if (!DEVICE_PATTERN.test(device))
    throw new UsageError(`${JSON.stringify(device)} is no device id: [A-Za-z0-9_-], 1 to 64 characters`);
  return device;
}
