export function answer(
  event: Record<string, unknown>,
  work: (event: never) => Promise<{ id?: string; data?: Record<string, unknown> }>,
): Promise<void>;
