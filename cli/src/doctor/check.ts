/** One thing looked at: how it is, what was found, and what to do about it. */
export type Check = { name: string; state: 'ok' | 'skip' | 'warn' | 'fail'; found: string; remedy?: string };

export const ok = (name: string, found: string): Check => ({ name, state: 'ok', found });
export const skip = (name: string, found: string): Check => ({ name, state: 'skip', found });
export const warn = (name: string, found: string, remedy: string): Check => ({ name, state: 'warn', found, remedy });
export const fail = (name: string, found: string, remedy: string): Check => ({ name, state: 'fail', found, remedy });
