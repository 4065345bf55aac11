/** A store or broker that can't be reached now. What was asked may be asked again later: nothing is known to be wrong with it. */
export class UnavailableError extends Error {
  override name = 'UnavailableError';
}

/** V8 quotes the text that is no JSON, and with it what users wrote. */
const QUOTED_JSON = /Unexpected token .* is not valid JSON/s;
export const unquoted = (text: string): string => text.replace(QUOTED_JSON, 'not JSON');

/** What an error says, fit to be logged and shown. */
export const messageOf = (error: unknown): string => unquoted(error instanceof Error ? error.message : String(error));
