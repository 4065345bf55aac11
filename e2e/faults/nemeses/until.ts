import { sleep } from '@restante/shared/runtime/sleep';

const LOOK_EACH_MS = 20;

/** @returns whether it came true in time */
export async function until(isTrue: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const end = Date.now() + withinMs;
  while (!(await isTrue())) {
    if (Date.now() > end) return false;
    await sleep(LOOK_EACH_MS);
  }
  return true;
}
