/** Waits for `promise` at most `ms`. @returns whether it settled in time; how it settled is not looked at. */
export function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const finish = () => {
      clearTimeout(timer);
      resolve(true);
    };
    promise.then(finish, finish);
  });
}
