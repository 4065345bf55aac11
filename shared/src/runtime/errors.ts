/** A store or broker that can't be reached now. What was asked may be asked again later: nothing is known to be wrong with it. */
export class UnavailableError extends Error {
  override name = 'UnavailableError';
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
