/** Who can be picked. The name is the token's `sub`. */
export const PEOPLE = ['ana', 'bo', 'chidi', 'dee'] as const;

export function displayName(user: string): string {
  return user.charAt(0).toUpperCase() + user.slice(1);
}

/** A hue per person, the same everywhere. */
export function hueOf(user: string): string {
  let hash = 7;
  for (const char of user) hash = (hash * 31 + char.charCodeAt(0)) % 360;
  return String(hash);
}

/**
 * A token for one of the people, from the gateway that serves this page. There is such a call in development only: a real
 * app asks its own backend, which knows who is logged in.
 */
export async function demoToken(user: string): Promise<string> {
  const response = await fetch(`/demo/token?user=${encodeURIComponent(user)}`);
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}
