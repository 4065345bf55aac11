/**
 * Does `work` for each item, at most `width` at a time. Once one has failed no other begins, and those under way are waited for: nothing
 * goes on behind the back of a caller who tries again. Where one failure should not end the rest, `work` catches it.
 * @throws what failed first
 */
export async function pool<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async () => {
    while (next < items.length && failures.length === 0) {
      try {
        await work(items[next++] as T);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
